import Table from "cli-table3";
import { type Case, cases, type Ending, endings } from "./cases.ts";
import type { Subject } from "./subjects.ts";

/** What one case came to for one subject. */
export interface Row {
  readonly subject: Subject["name"];
  readonly case: Case;
  /** How many boundaries there are at which the fault can strike, and at how many it did. */
  readonly boundaries: number;
  readonly tried: number;
  readonly ended: Readonly<Record<Ending, number>>;
}

export function emptyCounts(): Record<Ending, number> {
  return { converged: 0, undone: 0, halted: 0, stuck: 0, lost: 0 };
}

/** All of it in one line: `faults: 264 runs, 230 converged, 34 undone, 0 halted, 0 stuck, 0 lost`. */
export function summary(rows: readonly Row[]): string {
  const runs = rows.reduce((total, { tried }) => total + tried, 0);
  const sums = endings.map(
    (ending) => `${rows.reduce((total, { ended }) => total + ended[ending], 0)} ${ending}`,
  );
  return `faults: ${[`${runs} runs`, ...sums].join(", ")}`;
}

/** Nothing tried is nothing proven. */
export function isWell(rows: readonly Row[]): boolean {
  if (rows.length === 0) return false;
  return rows.every(
    ({ tried, ended, case: { mayEnd } }) =>
      tried > 0 && mayEnd.reduce((total, ending) => total + ended[ending], 0) === tried,
  );
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
    cases.map((one) => {
      const mine = rows.filter((row) => row.case.story === one.story);
      const sum = (ending: Ending) => mine.reduce((total, { ended }) => total + ended[ending], 0);
      const ways = endings.filter((ending) => sum(ending) > 0).map((ending) => `${sum(ending)} ${ending}`);
      const tried = mine.reduce((total, row) => total + row.tried, 0);
      return [one.story, ways.join(", "), String(tried), String(sum("halted") + sum("stuck") + sum("lost"))];
    }),
  );
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(line), ""].join("\n");
}
