import { expect, test } from "vitest";
import { parseOptions, writingCommand } from "./options.ts";
import { placeNames } from "./places.ts";

test("without a word each case takes its share, and nothing is written", () => {
  expect(parseOptions([])).toEqual({
    help: false,
    place: "local",
    again: false,
    full: false,
    share: undefined,
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
  expect(parseOptions(["--place", "aws", "--share", "6"])).toMatchObject({ place: "aws", share: 6 });
});

test("of another place than the local store a share may be written, and the README is not", () => {
  expect(parseOptions(["--place", "aws", "--write"])).toMatchObject({ place: "aws", write: true });
  expect(parseOptions(["--place", "aws", "--write", "--only", "killed"])).toMatch(/every case/);
});

test("what writes a matrix is what the options take", () => {
  for (const place of placeNames) {
    const [, args = ""] = writingCommand(place).split(" -- ");
    expect(parseOptions(args.split(" "))).toMatchObject({ place, write: true });
  }
});

test.each([
  ["--write", /--write needs --full/],
  ["--write --only killed", /--write needs --full/],
  ["--write --share 60", /--write needs --full/],
  ["--full --write --only killed", /neither --only nor --at/],
  ["--full --write --at 3", /neither --only nor --at/],
])("the pages are written from the whole matrix alone: %s is a wrong use", (line, problem) => {
  expect(parseOptions(line.split(" "))).toMatch(problem);
});

test.each(["gcp", "toString", ""])("a place that there is none of is a wrong use: %j", (name) => {
  expect(parseOptions([`--place=${name}`])).toBe("--place is local or aws");
});

test.each([
  ["--share 0"],
  ["--share x"],
  ["--full --share 3"],
  ["--seed x"],
  ["--at 0"],
  ["--at 1,x"],
  ["--at="],
  ["--everything"],
  ["killed"],
])("%s is a wrong use", (line) => {
  expect(typeof parseOptions(line.split(" "))).toBe("string");
});
