import * as z from "zod/mini";
import type { Equivalent } from "./equivalent.ts";

const Position = z.object({ line: z.number(), column: z.number() });
const Mutant = z.object({
  mutatorName: z.string(),
  replacement: z.string(),
  status: z.enum([
    "Killed",
    "Survived",
    "NoCoverage",
    "CompileError",
    "RuntimeError",
    "Timeout",
    "Ignored",
    "Pending",
  ]),
  location: z.object({ start: Position, end: Position }),
});
type Mutant = z.infer<typeof Mutant>;

/** What is read of Stryker's report: https://github.com/stryker-mutator/mutation-testing-elements has its schema. */
export const Report = z.object({
  files: z.record(z.string(), z.object({ source: z.string(), mutants: z.array(Mutant) })),
});

/** How one file fared. */
export interface Score {
  readonly source: string;
  /** Mutants that count: all but the equivalent ones. */
  readonly mutants: number;
  /** Those that a test failed for, or never ended with. */
  readonly noticed: number;
  readonly equivalent: number;
  /** The others, as `line: what => instead`. */
  readonly unnoticed: readonly string[];
  /** Entries of the table of equivalents that no unnoticed mutant answers to any more. */
  readonly stale: readonly Equivalent[];
}

/** Scores one file of a report. Throws if the report does not have it, or has mutants that were never tried. */
export function scoreOf(
  source: string,
  report: z.infer<typeof Report>,
  equivalents: readonly Equivalent[],
): Score {
  const file = report.files[source];
  if (file === undefined || file.mutants.length === 0)
    throw new Error(`the report has no mutant of ${source}`);
  const lines = file.source.split("\n");
  const untried = file.mutants.filter(({ status }) =>
    ["Ignored", "Pending", "CompileError"].includes(status),
  );
  if (untried.length > 0) throw new Error(`${source}: ${untried.length} mutants were not tried`);
  const survivors = file.mutants.filter(({ status }) => status === "Survived" || status === "NoCoverage");
  const ours = equivalents.filter((entry) => entry.source === source);
  const answers = (mutant: Mutant) => (entry: Equivalent) =>
    lines[mutant.location.start.line - 1]?.trim() === entry.line && mutant.replacement === entry.replacement;
  const excused = survivors.filter((mutant) => ours.some(answers(mutant)));
  const left = survivors.filter((mutant) => !excused.includes(mutant));
  return {
    source,
    mutants: file.mutants.length - excused.length,
    noticed: file.mutants.length - survivors.length,
    equivalent: excused.length,
    unnoticed: left.map((mutant) => inWords(mutant, lines)),
    stale: ours.filter((entry) => !survivors.some((mutant) => answers(mutant)(entry))),
  };
}

/** In percent, rounded down to a tenth: nothing but all of them is 100. */
export function percentOf({ mutants, noticed }: Pick<Score, "mutants" | "noticed">): number {
  return mutants === 0 ? 100 : Math.floor((noticed / mutants) * 1000) / 10;
}

function inWords(
  { location: { start, end }, mutatorName, replacement }: Mutant,
  lines: readonly string[],
): string {
  const first = lines[start.line - 1] ?? "";
  const what = start.line === end.line ? first.slice(start.column - 1, end.column - 1) : `${first.trim()} …`;
  return `${start.line}: ${mutatorName}: ${what} => ${replacement.replaceAll(/\s+/g, " ")}`;
}
