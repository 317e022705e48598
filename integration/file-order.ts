import { matchesGlob, relative } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Patterns of paths from the root of the project. */
interface Order {
  /** What takes longest, in the order in which it begins: if it began last, all would wait for it. */
  readonly first: readonly string[];
  /** What comes after all others, each pattern's files after those of the one before it. */
  readonly last?: readonly string[];
}

/** An order that is the same on every machine: the usual one tells by a former run which files take long. */
export function fileOrder({ first, last = [] }: Order): typeof BaseSequencer {
  return class extends BaseSequencer {
    override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
      const rankOf = ({ project, moduleId }: TestSpecification): readonly number[] => {
        const path = relative(this.ctx.config.root, moduleId);
        const matching = (pattern: string) => matchesGlob(path, pattern);
        const early = first.findIndex(matching);
        return [
          project.config.sequence.groupOrder,
          last.findIndex(matching),
          early === -1 ? first.length : early,
        ];
      };
      const ranked = (await super.sort(files)).map((file) => ({ file, rank: rankOf(file) }));
      return ranked.toSorted((one, other) => comparison(one.rank, other.rank)).map(({ file }) => file);
    }
  };
}

function comparison(one: readonly number[], other: readonly number[]): number {
  return one.map((rank, index) => rank - (other[index] ?? 0)).find((difference) => difference !== 0) ?? 0;
}
