import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod/mini";
import { endings } from "./cases.ts";
import type { Run } from "./run.ts";

const Kept = z.object({
  name: z.string(),
  number: z.number(),
  run: z.object({ ending: z.enum(endings), why: z.string(), what: z.string(), looks: z.number() }),
});

/** What a worker and its target are made of, and what judges them. */
const always = [
  ...["core", "rotators", "faults", "package-lock.json", "cli/who.ts"],
  ...["integration/postgres-server.ts", "integration/postgres-target.ts"],
];

/** What runs of the very same code have come to, each kept as soon as it has ended: one that takes hours can be interrupted, and gone on with. */
export class KnownRuns {
  readonly #file: string;
  readonly #runs: ReadonlyMap<string, Run>;

  private constructor(file: string) {
    this.#file = file;
    this.#runs = new Map(readLines(file).map(({ name, number, run }) => [keyOf(name, number), run]));
  }

  /** Those of the tree in that folder as it is now; `sources` are the files and folders of the place that it is tried in. */
  static of(root: string, sources: readonly string[]): KnownRuns {
    const folder = join(root, "node_modules/.cache/keyturn-faults");
    mkdirSync(folder, { recursive: true });
    return new KnownRuns(join(folder, `${hashOf(root, [...always, ...sources])}.jsonl`));
  }

  get count(): number {
    return this.#runs.size;
  }

  get(name: string, number: number): Run | undefined {
    return this.#runs.get(keyOf(name, number));
  }

  /** Each on a line of its own, also behind one that was cut off. */
  keep(name: string, number: number, run: Run): void {
    appendFileSync(this.#file, `\n${JSON.stringify({ name, number, run })}`);
  }
}

function keyOf(name: string, number: number): string {
  return `${name} at ${number}`;
}

/** A line that was cut off is of a run that has to be made again. */
function readLines(file: string): readonly z.infer<typeof Kept>[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8")
    .split("\n")
    .flatMap((line) => {
      try {
        return [z.parse(Kept, JSON.parse(line))];
      } catch {
        return [];
      }
    });
}

function hashOf(root: string, sources: readonly string[]): string {
  const hash = createHash("sha256").update(process.version);
  for (const source of sources) {
    const files = source.includes(".") ? [source] : codeIn(root, source);
    for (const file of files) hash.update(`${file}\0`).update(readFileSync(join(root, file)));
  }
  return hash.digest("hex").slice(0, 16);
}

function codeIn(root: string, folder: string): readonly string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !/\.(test|contract)\.ts$/.test(file))
    .toSorted()
    .map((file) => join(folder, file));
}
