import { relative } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** What is deployed in the background is needed last, and is there by then. */
const folders = ["integration/aws/stack/", "integration/aws/installation/"];

/**
 * What takes longest begins first: if it began last, all would wait for it. The fleet, which measures how fast it hears of a rotation, begins when the
 * first rush of the others at the one LocalStack is over.
 */
const early = [
  ...["installation", "cdk", "fan-out", "cli"].map((name) => `integration/aws/stack/${name}.test.ts`),
  ...["refused", "incidents", "import", "fleet", "rolled", "astray"].map(
    (name) => `integration/aws/installation/${name}.test.ts`,
  ),
];

/** Files of one group, in an order that is the same on every machine: the usual one tells by a former run which takes long. */
export class FileOrder extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const root = this.ctx.config.root;
    const group = ({ project }: TestSpecification) => project.config.sequence.groupOrder;
    return (await super.sort(files)).toSorted(
      (one, other) =>
        group(one) - group(other) ||
        folderOf(relative(root, one.moduleId)) - folderOf(relative(root, other.moduleId)) ||
        rankOf(relative(root, one.moduleId)) - rankOf(relative(root, other.moduleId)),
    );
  }
}

/** Those that are in none of them come first. */
function folderOf(path: string): number {
  return folders.findIndex((folder) => path.startsWith(folder));
}

function rankOf(path: string): number {
  const rank = early.indexOf(path);
  return rank === -1 ? early.length : rank;
}
