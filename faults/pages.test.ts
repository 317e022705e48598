import { expect, test } from "vitest";
import { applies, type Case, cases, spread } from "./cases.ts";
import { emptyCounts, isWell, pageTable, type Row, storyTable, summary } from "./matrix.ts";
import { written } from "./pages.ts";
import { subjects } from "./subjects.ts";

/** The cells of a page's table, without its head. */
function cellsOf(text: string): readonly (readonly string[])[] {
  const lines = text.split("\n").filter((line) => line.startsWith("| "));
  return lines.slice(1).map((line) => line.split(" | ").map((cell) => cell.replaceAll(/^\| | \|$/g, "")));
}

function rowOf(one: Case, changed: Partial<Row["ended"]> = {}, tried = 3): Row {
  const ended = { ...emptyCounts(), converged: 3, ...changed };
  return { subject: "one", case: one, boundaries: 74, tried, ended };
}

const [killed] = cases;
if (killed === undefined) throw new Error("there are no cases");

test("docs/faults.md has a row for every case of every credential, and none is halted, stuck or lost", () => {
  const page = written("docs/faults.md");
  const rows = cellsOf(page);
  const expected = subjects.flatMap(({ name }) => cases.map(({ story }) => [name, story]));
  expect(rows.map(([subject, story]) => [subject, story])).toEqual(expected);
  for (const [, , boundaries, tried, converged, undone, ...bad] of rows) {
    expect(Number(boundaries)).toBeGreaterThan(20);
    expect(Number(tried)).toBeGreaterThan(0);
    expect(Number(converged) + Number(undone)).toBe(Number(tried));
    expect(bad).toEqual(["0", "0", "0"]);
  }
  expect(page).toMatch(/^`faults: \d+ runs, \d+ converged, \d+ undone, 0 halted, 0 stuck, 0 lost`$/m);
});

test("the README says of every case how it ends, and of none that it is stuck or lost", () => {
  const rows = cellsOf(written("README.md"));
  expect(rows.map(([story]) => story)).toEqual(cases.map(({ story }) => story));
  for (const [, ways, tried, bad] of rows) {
    expect(ways).toMatch(/^\d+ (converged|undone)/);
    expect(Number(tried)).toBeGreaterThan(0);
    expect(bad).toBe("0");
  }
});

test("only what a case may end as is well, and nothing tried is nothing proven", () => {
  expect(isWell([rowOf(killed)])).toBe(true);
  expect(isWell([rowOf(killed, { converged: 2, stuck: 1 })])).toBe(false);
  expect(isWell([rowOf(killed, { converged: 2, undone: 1 })])).toBe(false);
  expect(isWell([rowOf(killed, { converged: 0 }, 0)])).toBe(false);
  expect(isWell([])).toBe(false);
  const cancelled = cases.find(({ followUp }) => followUp === "cancelled") ?? killed;
  expect(isWell([rowOf(cancelled, { converged: 2, undone: 1 })])).toBe(true);
});

test("no case may end halted, stuck or lost", () => {
  for (const { mayEnd } of cases)
    expect(["converged", "undone"]).toEqual(expect.arrayContaining([...mayEnd]));
});

test("the tables and the summary count what has come of the runs", () => {
  const rows = [rowOf(killed), { ...rowOf(killed, { converged: 1, stuck: 1, lost: 1 }), subject: "two" }];
  expect(summary(rows)).toBe("faults: 6 runs, 4 converged, 0 undone, 0 halted, 1 stuck, 1 lost");
  expect(cellsOf(pageTable(rows))[1]).toEqual(["two", killed.story, "74", "3", "1", "0", "0", "1", "1"]);
  expect(cellsOf(storyTable(rows))[0]).toEqual([killed.story, "4 converged, 1 stuck, 1 lost", "6", "2"]);
});

test("a share is spread over all boundaries, and never takes one twice", () => {
  const all = Array.from({ length: 74 }, (_, index) => index + 1);
  for (const chance of [0, 0.3, 0.999]) {
    const share = spread(all, 8, chance);
    expect(new Set(share).size).toBe(8);
    expect(share[0]).toBeLessThanOrEqual(10);
    expect(share.at(-1)).toBeGreaterThan(64);
  }
  expect(spread(all, 74, 0.5)).toEqual(all);
  expect(spread([1, 2], 8, 0.5)).toEqual([1, 2]);
});

test("a reply can be lost only where something has changed", () => {
  const lost = cases.filter(({ fault }) => fault === "reply lost");
  expect(lost.length).toBeGreaterThan(0);
  for (const one of lost) {
    expect(applies(one, { changes: true })).toBe(true);
    expect(applies(one, { changes: false })).toBe(false);
  }
  expect(applies(killed, { changes: false })).toBe(true);
});
