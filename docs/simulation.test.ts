import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readTree } from "../architecture.source.ts";
import { heldBy, lacks, promisesIn, testsOf } from "./held-by.contract.ts";

/** What a simulation has found is held by a test with a name, and the page tells which. */
const tree = readTree(join(import.meta.dirname, ".."));
const page = tree.find(({ path }) => path === "docs/simulation.md")?.text ?? "";
const defects = promisesIn(page);
/** Written for nothing else than what was found. */
const found = ["local/simulation-found.test.ts", "local/simulation-found-names.test.ts"];

describe("what the simulation has found", () => {
  it("was seen: a row for each defect, under its own head", () => {
    expect(defects.length).toBeGreaterThan(15);
    const part = page.split("\n## ").find((one) => one.startsWith("What it has found\n")) ?? "";
    expect(promisesIn(part)).toEqual(defects);
    expect(part.split("\n").filter((line) => line.endsWith(`| ${heldBy} |`))).toHaveLength(1);
    expect(part.split("\n").filter((line) => line.startsWith("| "))).toHaveLength(defects.length + 1);
  });

  it.each(defects)("is held by tests that there are: $what", (defect) => {
    expect(lacks(defect, tree)).toEqual([]);
  });

  it.each(found)("is told with each test of %s", (path) => {
    const file = tree.find((one) => one.path === path);
    const named = defects.flatMap(({ by }) =>
      by.filter((one) => one.file === path).map(({ title }) => title),
    );
    const titles = file === undefined ? [] : testsOf(file);
    expect(titles.length).toBeGreaterThan(4);
    expect(titles.filter((title) => !named.includes(title))).toEqual([]);
  });
});
