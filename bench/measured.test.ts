import { expect, it } from "vitest";
import { jsonOf, type Measured, tableOf } from "./measured.ts";

const found: Measured = {
  rows: [
    ["calls", "9", "≤ 10", true],
    ["connections", "4", "≤ 3", false],
    ["a month", "12 dollars", undefined, true],
  ],
  numbers: { calls: 9 },
  notes: ["Assumed: nothing."],
};

it("says of each number whether its aim is reached, and nothing of what has none", () => {
  expect(tableOf(found).map((line) => line.replace(/ +/g, " "))).toEqual([
    "reached calls 9 aim ≤ 10",
    "MISSED connections 4 aim ≤ 3",
    " a month 12 dollars",
    "Assumed: nothing.",
  ]);
});

it("ends with one object, which says whether all aims are reached", () => {
  expect(JSON.parse(jsonOf(found))).toEqual({ calls: 9, reached: false });
  expect(JSON.parse(jsonOf({ ...found, rows: found.rows.slice(0, 1) }))).toEqual({ calls: 9, reached: true });
});
