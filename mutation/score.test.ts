import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { transformSync } from "esbuild";
import { describe, expect, test } from "vitest";
import { equivalents } from "./equivalent.ts";
import { pagePath, withScore } from "./page.ts";
import { plans, withoutLogic } from "./plan.ts";
import { percentOf, Report, scoreOf } from "./score.ts";

const root = join(import.meta.dirname, "..");

const source = "const a = 1;\n  if (a > 0) {\n  stop();\n}\n";
const mutant = (status: string, line: number, replacement: string) => ({
  mutatorName: "Some",
  replacement,
  status,
  location: { start: { line, column: 7 }, end: { line: line === 3 ? 4 : line, column: 12 } },
});
const reportOf = (...mutants: object[]) => Report.parse({ files: { "core/a.ts": { source, mutants } } });
const excuse = { source: "core/a.ts", line: "if (a > 0) {", replacement: "a >= 0", reason: "a is never 0" };

describe("the score of a file", () => {
  test("counts as noticed what failed, never ended or did not even load, and names the rest", () => {
    const report = reportOf(
      mutant("Killed", 1, "b"),
      mutant("Timeout", 1, "c"),
      mutant("RuntimeError", 1, "d"),
      mutant("Survived", 2, "a >= 0"),
      mutant("NoCoverage", 3, "{\n}"),
    );
    expect(scoreOf("core/a.ts", report, [])).toEqual({
      source: "core/a.ts",
      mutants: 5,
      noticed: 3,
      equivalent: 0,
      unnoticed: ["2: Some: a > 0 => a >= 0", "3: Some: stop(); … => { }"],
      stale: [],
    });
  });

  test("leaves out an equivalent one, by its line and what it puts there, and no other", () => {
    const survivors = [mutant("Survived", 2, "a >= 0"), mutant("Survived", 2, "true")];
    const report = reportOf(mutant("Killed", 1, "b"), ...survivors);
    const elsewhere = { ...excuse, source: "core/b.ts" };
    const score = scoreOf("core/a.ts", report, [excuse, elsewhere]);
    expect(score).toMatchObject({ mutants: 2, noticed: 1, equivalent: 1, stale: [] });
    expect(score.unnoticed).toEqual(["2: Some: a > 0 => true"]);
  });

  test("an excuse that nobody needs is found out", () => {
    const report = reportOf(mutant("Killed", 2, "a >= 0"));
    expect(scoreOf("core/a.ts", report, [excuse]).stale).toEqual([excuse]);
  });

  test.each(["Ignored", "Pending", "CompileError"])(
    "a mutant that was not tried (%s) is an error",
    (status) => {
      expect(() => scoreOf("core/a.ts", reportOf(mutant(status, 1, "b")), [])).toThrow(
        "1 mutants were not tried",
      );
    },
  );

  test("no mutant at all is an error, not a success", () => {
    expect(() => scoreOf("core/a.ts", reportOf(), [])).toThrow("no mutant of core/a.ts");
    expect(() => scoreOf("core/b.ts", reportOf(mutant("Killed", 1, "b")), [])).toThrow(
      "no mutant of core/b.ts",
    );
  });

  test.each([
    [1_000, 1_000, 100],
    [9_999, 10_000, 99.9],
    [0, 3, 0],
  ])("%i of %i are %d %%", (noticed, mutants, percent) => {
    expect(percentOf({ noticed, mutants })).toBe(percent);
  });
});

describe("the page", () => {
  const page = readFileSync(join(root, pagePath), "utf8");
  const score = { source: "core/a.ts", mutants: 4, noticed: 3, equivalent: 1, unnoticed: [], stale: [] };
  const row = "| `core/a.ts` | 4 | 3 | 75 % | 95 % | 1 |\n";

  test("gets a file's row, and no second one when it is measured again", () => {
    const first = withScore(page, { ...score, noticed: 2 }, 95);
    const second = withScore(first, score, 95);
    expect(second).toContain(row);
    expect(second.replace(row, "")).toBe(page);
  });

  test("without its place for scores is an error", () => {
    expect(() => withScore("# Scores", score, 95)).toThrow("no place for the scores");
  });

  test("has a row for each file of the plan, at its aim or above, and no other", () => {
    const rows = [
      ...page.matchAll(/^\| `(core\/[^`]+)` \| \d+ \| \d+ \| ([\d.]+) % \| (\d+) % \| \d+ \|$/gm),
    ];
    expect(rows.map(([, file]) => file)).toEqual(plans.map((plan) => plan.source).toSorted());
    for (const [, file, percent, aim] of rows) {
      expect(Number(aim)).toBe(plans.find((plan) => plan.source === file)?.leastPercent);
      expect(Number(percent)).toBeGreaterThanOrEqual(Number(aim));
    }
  });
});

describe("every file of core/", () => {
  test("is in the plan, or is known to have nothing that could be changed", () => {
    const files = readdirSync(join(root, "core")).filter(
      (name) => name.endsWith(".ts") && !/\.(test|contract)\.ts$/.test(name),
    );
    const known = [...plans.map((plan) => plan.source), ...Object.keys(withoutLogic)];
    expect(known.toSorted()).toEqual(files.map((name) => `core/${name}`).toSorted());
  });

  test.each(Object.entries(withoutLogic))("that is said to be without logic is: %s, %s", (file) => {
    const { code } = transformSync(readFileSync(join(root, file), "utf8"), { loader: "ts" });
    expect(code).not.toMatch(/=>|[?+<&|(]|\b(?:function|class)\b/);
  });
});

test("the plan and the equivalents speak of what is there", () => {
  for (const { source: file, tests } of plans) {
    for (const path of [file, ...tests]) expect(existsSync(join(root, path)), path).toBe(true);
  }
  for (const { source: file, line, reason } of equivalents) {
    const lines = readFileSync(join(root, file), "utf8").split("\n");
    expect(lines.map((text) => text.trim())).toContain(line);
    expect(reason).not.toBe("");
  }
});
