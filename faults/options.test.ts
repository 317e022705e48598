import { expect, test } from "vitest";
import { parseOptions } from "./options.ts";

test("without a word each case takes its share, and nothing is written", () => {
  expect(parseOptions([])).toEqual({
    help: false,
    again: false,
    full: false,
    json: false,
    write: false,
    seed: undefined,
    only: "",
    at: undefined,
  });
  expect(parseOptions(["--at", "3,17", "--seed", "41"])).toMatchObject({ at: [3, 17], seed: 41 });
  expect(parseOptions(["--full", "--again"])).toMatchObject({ full: true, again: true });
  expect(parseOptions(["--help"])).toMatchObject({ help: true });
  expect(parseOptions(["--full", "--write"])).toMatchObject({ full: true, write: true });
});

test.each([
  ["--write"],
  ["--write --only killed"],
  ["--full --write --only killed"],
  ["--full --write --at 3"],
])("the pages are written from the whole matrix alone: %s is a wrong use", (line) => {
  expect(parseOptions(line.split(" "))).toMatch(/--write needs --full/);
});

test.each([["--seed x"], ["--at 0"], ["--at 1,x"], ["--at="], ["--everything"], ["killed"]])(
  "%s is a wrong use",
  (line) => {
    expect(typeof parseOptions(line.split(" "))).toBe("string");
  },
);
