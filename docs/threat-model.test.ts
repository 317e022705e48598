import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { dotted, importsOf, nodesOf, readTree, type SourceFile } from "../architecture.source.ts";

/** The page promises nothing that no test holds, and names tests that there are. */
const tree = readTree(join(import.meta.dirname, ".."));
const page = tree.find(({ path }) => path === "docs/threat-model.md")?.text ?? "";
const heldBy = "held by";

interface Promised {
  readonly what: string;
  readonly by: readonly { readonly file: string; readonly title: string }[];
}

/** The rows of the tables whose last column says by what they are held. */
function promisesIn(text: string): readonly Promised[] {
  const found: Promised[] = [];
  let isOfPromises = false;
  for (const line of text.split("\n")) {
    if (!line.startsWith("|")) {
      isOfPromises = false;
      continue;
    }
    const cells = line.split(" | ").map((cell) => cell.replaceAll(/^\||\|$/g, "").trim());
    if (isOfPromises && !line.startsWith("|---")) {
      found.push({ what: cells.at(-2) ?? "", by: referencesIn(cells.at(-1) ?? "") });
    }
    isOfPromises ||= cells.at(-1) === heldBy;
  }
  return found;
}

function referencesIn(cell: string): Promised["by"] {
  return cell.split("<br>").flatMap((one) => {
    const [, file, title] = /^`([^`]+)` › (.+)$/.exec(one) ?? [];
    return file === undefined || title === undefined ? [] : [{ file, title }];
  });
}

/** What a promise lacks: a test, its file, or its title there. */
function lacks(promised: Promised, files: readonly SourceFile[]): readonly string[] {
  if (promised.by.length === 0) return [`no test holds: ${promised.what}`];
  return promised.by.flatMap(({ file, title }) => {
    const found = files.find(({ path }) => path === file);
    if (found === undefined || !isRun(found, files)) return [`${file} is no file of tests`];
    return titlesOf(found).has(title) ? [] : [`${file} has no test: ${title}`];
  });
}

/** A contract is run by the tests that import it. */
function isRun(file: SourceFile, files: readonly SourceFile[]): boolean {
  if (file.path.endsWith(".test.ts")) return true;
  const tests = files.filter(({ path }) => path.endsWith(".test.ts"));
  return (
    file.path.endsWith(".contract.ts") &&
    tests.some((test) => importsOf(test).some(({ target }) => target === file.path))
  );
}

/** Of tests and of groups of them; and the names of rows in tables of a test's own, which are its titles where it says `%s`. */
function titlesOf(file: SourceFile): ReadonlySet<string> {
  const titles = nodesOf(file).flatMap((node) => {
    switch (node.type) {
      case "CallExpression": {
        const isSuite = ["it", "test", "describe"].includes(dotted(node.callee).split(".")[0] ?? "");
        return isSuite && Array.isArray(node.arguments) ? [node.arguments[0]] : [];
      }
      case "Property":
        return Object(node.key).value === undefined && dotted(node.key) !== "name"
          ? [{ value: dotted(node.key) }]
          : [node.key, node.value];
      case "ArrayExpression":
        return Array.isArray(node.elements) && node.elements.length > 1 ? [node.elements[0]] : [];
      default:
        return [];
    }
  });
  return new Set(titles.map((title) => Object(title).value).filter((value) => typeof value === "string"));
}

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
