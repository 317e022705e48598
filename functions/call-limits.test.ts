import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

test("every client that a function makes has the limits", () => {
  const sources = readdirSync(import.meta.dirname).filter((name) => /(?<!\.test|\.contract)\.ts$/.test(name));
  const made = sources.flatMap((name) =>
    [...readFileSync(join(import.meta.dirname, name), "utf8").matchAll(/new \w+Client\([^;]*/g)].map(
      ([text]) => `${name}: ${text}`,
    ),
  );
  expect(made.length).toBeGreaterThan(5);
  expect(made.filter((text) => !text.includes("callLimits"))).toEqual([]);
});
