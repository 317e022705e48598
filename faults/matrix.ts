import Table from "cli-table3";
import { type Case, cases, type Ending, endings } from "./cases.ts";
import type { Subject } from "./subject.ts";

/** What one case came to for one subject. */
export interface Row {
  readonly subject: Subject["name"];
  readonly case: Case;
  /** How many boundaries there are at which the fault can strike, how many of them were chosen, and at how many it did strike. */
  readonly boundaries: number;
  readonly chosen: number;
  readonly tried: number;
  readonly ended: Readonly<Record<Ending, number>>;
}

export function emptyCounts(): Record<Ending, number> {
  return { converged: 0, undone: 0, halted: 0, stuck: 0, lost: 0 };
}

/** All of it in one line: `faults: 264 runs, 230 converged, 34 undone, 0 halted, 0 stuck, 0 lost`. */
export function summary(rows: readonly Row[]): string {
  const runs = sumOf(rows, "tried");
  const sums = endings.map(
    (ending) => `${rows.reduce((total, { ended }) => total + ended[ending], 0)} ${ending}`,
  );
  return `faults: ${[`${runs} runs`, ...sums].join(", ")}`;
}

/** Why this matrix proves less than it says; a run that says nothing here has done what it was to do, and has ended well. */
export function shortcomings(rows: readonly Row[]): readonly string[] {
  if (rows.length === 0) return ["no case was tried at all"];
  return rows.flatMap(({ subject, case: { story, mayEnd }, chosen, tried, ended }) => {
    const well = mayEnd.reduce((total, ending) => total + ended[ending], 0);
    const found: string[] = [];
    // Nothing tried is nothing proven.
    if (chosen === 0) found.push("no boundary was chosen");
    if (tried < chosen) found.push(`the fault never struck at ${chosen - tried} of ${chosen} boundaries`);
    if (well < tried) found.push(`${tried - well} of ${tried} ended as they must not`);
    return found.map((what) => `${subject}: ${story}: ${what}`);
  });
}

/** How much of what there is was tried. */
export function extent(rows: readonly Row[]): string {
  const [tried, all] = [sumOf(rows, "tried"), sumOf(rows, "boundaries")];
  return tried === all
    ? `Every case was tried at every one of its boundaries: ${all} of them.`
    : `Each case was tried at a share of its boundaries, evenly spread: at ${tried} of ${all}.`;
}

function sumOf(rows: readonly Row[], what: "tried" | "boundaries"): number {
  return rows.reduce((total, row) => total + row[what], 0);
}

const heads = ["boundaries", "tried", ...endings];

function numbers({ boundaries, tried, ended }: Row): readonly number[] {
  return [boundaries, tried, ...endings.map((ending) => ended[ending])];
}

/** For a terminal. */
export function picture(rows: readonly Row[]): string {
  const table = new Table({
    head: ["credential", "fault, and then", ...heads],
    style: { head: [], border: [] },
    colAligns: ["left", "left", ...heads.map(() => "right" as const)],
    wordWrap: true,
    colWidths: [28, 46],
  });
  for (const row of rows) table.push([row.subject, row.case.story, ...numbers(row).map(String)]);
  return table.toString();
}

/** For docs/faults.md. */
export function pageTable(rows: readonly Row[]): string {
  return markdown(
    ["credential", "fault, and then", ...heads],
    rows.map((row) => [row.subject, row.case.story, ...numbers(row).map(String)]),
  );
}

/** For the README: what happens when …, over all credentials. */
export function storyTable(rows: readonly Row[]): string {
  return markdown(
    ["what happens", "how it ends", "tried", "halted, stuck or lost"],
    [...new Set(cases.map(({ headline }) => headline))].map((headline) => {
      const mine = rows.filter((row) => row.case.headline === headline);
      const sum = (ending: Ending) => mine.reduce((total, { ended }) => total + ended[ending], 0);
      const ways = endings.filter((ending) => sum(ending) > 0).map((ending) => `${sum(ending)} ${ending}`);
      const tried = mine.reduce((total, row) => total + row.tried, 0);
      return [headline, ways.join(", "), String(tried), String(sum("halted") + sum("stuck") + sum("lost"))];
    }),
  );
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(line), ""].join("\n");
}
