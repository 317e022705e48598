import { expect, test } from "vitest";
import { applies, type Case, cases, casesOf, spread } from "./cases.ts";
import { emptyCounts, extent, pageTable, type Row, shortcomings, storyTable, summary } from "./matrix.ts";
import { stale, written } from "./pages.ts";
import { placeNames } from "./places.ts";
import { listed } from "./subjects.ts";

/** The cells of a page's table, without its head. */
function cellsOf(text: string): readonly (readonly string[])[] {
  const lines = text.split("\n").filter((line) => line.startsWith("| "));
  return lines.slice(1).map((line) => line.split(" | ").map((cell) => cell.replaceAll(/^\| | \|$/g, "")));
}

function rowOf(one: Case, changed: Partial<Row["ended"]> = {}, tried = 3, chosen = tried): Row {
  const ended = { ...emptyCounts(), converged: 3, ...changed };
  return { subject: "one", case: one, boundaries: 74, chosen, tried, ended };
}

const [killed] = cases;
if (killed === undefined) throw new Error("there are no cases");

test.each(placeNames)(
  "docs/faults.md has a row for every case of every credential in the place %s, and none is halted, stuck or lost",
  (place) => {
    const page = written("docs/faults.md", place);
    const rows = cellsOf(page);
    const expected = listed.flatMap((subject) => casesOf(subject).map(({ story }) => [subject.name, story]));
    expect(rows.map(([subject, story]) => [subject, story])).toEqual(expected);
    for (const [, , boundaries, tried, converged, undone, ...bad] of rows) {
      expect(Number(boundaries)).toBeGreaterThan(10);
      expect(Number(tried)).toBeGreaterThan(0);
      expect(Number(tried)).toBeLessThanOrEqual(Number(boundaries));
      expect(Number(converged) + Number(undone)).toBe(Number(tried));
      expect(bad).toEqual(["0", "0", "0"]);
    }
    const ended = rows.map((row) => row.slice(2).map(Number));
    const sum = (column: number) => ended.reduce((total, row) => total + (row[column] ?? 0), 0);
    expect(page).toContain(
      `\`faults: ${sum(1)} runs, ${sum(2)} converged, ${sum(3)} undone, 0 halted, 0 stuck, 0 lost\``,
    );
    expect(page).toContain(
      sum(0) === sum(1) ? `every one of its boundaries: ${sum(0)}` : `at ${sum(1)} of ${sum(0)}`,
    );
  },
);

test("the README says of every case how it ends, and of none that it is stuck or lost", () => {
  const rows = cellsOf(written("README.md", "local"));
  expect(rows.map(([story]) => story)).toEqual([...new Set(cases.map(({ headline }) => headline))]);
  for (const [, ways, tried, bad] of rows) {
    expect(ways).toMatch(/^\d+ (converged|undone)/);
    expect(Number(tried)).toBeGreaterThan(0);
    expect(bad).toBe("0");
  }
});

test("only what a case may end as is well, and nothing tried is nothing proven", () => {
  expect(shortcomings([rowOf(killed)])).toEqual([]);
  expect(shortcomings([rowOf(killed, { converged: 2, stuck: 1 })])).toEqual([
    `one: ${killed.story}: 1 of 3 ended as they must not`,
  ]);
  expect(shortcomings([rowOf(killed, { converged: 2, undone: 1 })])).toHaveLength(1);
  expect(shortcomings([])).toEqual(["no case was tried at all"]);
  const cancelled = cases.find(({ followUp }) => followUp === "cancelled") ?? killed;
  expect(shortcomings([rowOf(cancelled, { converged: 2, undone: 1 })])).toEqual([]);
});

test("a fault that never struck is told, and so is a case for which no boundary was chosen", () => {
  expect(shortcomings([rowOf(killed, {}, 3, 4)])).toEqual([
    `one: ${killed.story}: the fault never struck at 1 of 4 boundaries`,
  ]);
  expect(shortcomings([rowOf(killed, { converged: 0 }, 0)])).toEqual([
    `one: ${killed.story}: no boundary was chosen`,
  ]);
});

test("what was tried is said to be all of it only where it is", () => {
  expect(extent([rowOf(killed)])).toMatch(/share of its boundaries, evenly spread: at 3 of 74/);
  expect(extent([rowOf(killed, {}, 74)])).toMatch(/at every one of its boundaries: 74 of them/);
});

test("a page that has other boundaries than a run has found is stale", () => {
  const page = pageTable([rowOf(killed)]);
  expect(stale([rowOf(killed, { converged: 1 }, 1)], page)).toEqual([]);
  expect(stale([{ ...rowOf(killed), boundaries: 75 }], page)).toHaveLength(1);
  expect(stale([{ ...rowOf(killed), subject: "two" }], page)).toHaveLength(1);
});

test("the README has the sums of what docs/faults.md has", () => {
  const sums = new Map<string, { converged: number; undone: number }>();
  for (const [, story = "", , , converged, undone] of cellsOf(written("docs/faults.md", "local"))) {
    const headline = cases.find((one) => one.story === story)?.headline ?? "";
    const before = sums.get(headline) ?? { converged: 0, undone: 0 };
    sums.set(headline, {
      converged: before.converged + Number(converged),
      undone: before.undone + Number(undone),
    });
  }
  const expected = [...sums].map(([headline, { converged, undone }]) => {
    const ways = [
      ...(converged > 0 ? [`${converged} converged`] : []),
      ...(undone > 0 ? [`${undone} undone`] : []),
    ];
    return [headline, ways.join(", "), String(converged + undone), "0"];
  });
  expect(cellsOf(written("README.md", "local"))).toEqual(expected);
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

test("whether a call is carried out matters only where it changes something", () => {
  const lost = cases.filter(({ fault }) => fault === "reply lost" || fault === "killed amid");
  expect(lost.length).toBeGreaterThan(0);
  for (const one of lost) {
    expect(applies(one, { changes: true })).toBe(true);
    expect(applies(one, { changes: false })).toBe(false);
  }
  expect(applies(killed, { changes: false })).toBe(true);
});
