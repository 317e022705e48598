import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readTree } from "../architecture.source.ts";
import { heldBy, lacks, promisesIn } from "./held-by.contract.ts";

/** The page promises nothing that no test holds, and names tests that there are. */
const tree = readTree(join(import.meta.dirname, ".."));
const page = tree.find(({ path }) => path === "docs/threat-model.md")?.text ?? "";
const promises = promisesIn(page);

describe("the threat model", () => {
  it("was seen: rows of promises in every part that has them", () => {
    expect(promises.length).toBeGreaterThan(40);
    expect(promises.flatMap(({ by }) => by).length).toBeGreaterThan(70);
    const parts = page.split("\n## ").slice(1);
    expect(parts.map((part) => promisesIn(part).length > 0)).toEqual([true, true, true, true, false]);
  });

  it.each(promises)("names the tests that hold: $what", (promised) => {
    expect(lacks(promised, tree)).toEqual([]);
  });

  it("has no row that is not read, and no table that promises without saying by what", () => {
    const rows = page.split("\n").filter((line) => line.startsWith("| "));
    const heads = rows.filter((line) => line.endsWith(`| ${heldBy} |`));
    expect(rows.length).toBe(heads.length + promises.length);
  });
});
