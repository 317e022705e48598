import { describe, expect, it } from "vitest";
import { heldBy, lacks, promisesIn } from "./held-by.contract.ts";

describe("a promise is seen to fail", () => {
  const files = [
    { path: "a.test.ts", text: 'test("it is so", () => {}); test.each([["one row", 1]])("%s", () => {});' },
    { path: "a.contract.ts", text: 'export const rows = [{ name: "a row", more: "no title" }];' },
    { path: "b.contract.ts", text: 'it("is never run", () => {});' },
    { path: "b.test.ts", text: 'import { rows } from "./a.contract.ts"; f("no test");' },
  ];
  const row = (cell: string) => promisesIn(`| x | ${heldBy} |\n|---|---|\n| something | ${cell} |`)[0];

  it.each([
    ["`a.test.ts` › it is so", []],
    ["`a.test.ts` › one row<br>`a.contract.ts` › a row", []],
    ["", ["no test holds: something"]],
    ["a.test.ts, somewhere", ["no test holds: something"]],
    ["`a.test.ts` › it is s", ["a.test.ts has no test: it is s"]],
    ["`a.test.ts` › it is so<br>`c.test.ts` › it is so", ["c.test.ts is no file of tests"]],
    ["`b.contract.ts` › is never run", ["b.contract.ts is no file of tests"]],
    ["`a.contract.ts` › no title", ["a.contract.ts has no test: no title"]],
    ["`b.test.ts` › no test", ["b.test.ts has no test: no test"]],
  ])("%s", (cell, expected) => {
    const promised = row(cell);
    expect(promised && lacks(promised, files)).toEqual(expected);
  });
});
