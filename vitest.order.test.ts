import { globSync, readFileSync } from "node:fs";
import { join, matchesGlob } from "node:path";
import { expect, test } from "vitest";
import { alone, long, longIntegrated } from "./vitest.order.ts";

const root = import.meta.dirname;
const files = globSync("**/*.test.ts", {
  cwd: root,
  exclude: ["**/node_modules/**", "dist/**", ".aws-emulators/**", "integration/**"],
});

test.each([...alone, ...long, ...longIntegrated])("there is something that it names: %s", (pattern) => {
  expect(globSync(pattern, { cwd: root })).not.toEqual([]);
});

test("what replaces a module for its whole process has a process of its own", () => {
  const replacing = files.filter((file) =>
    /^vi\.(mock|doMock)\(/m.test(readFileSync(join(root, file), "utf8")),
  );
  expect(replacing).toContain("cli/who.test.ts");
  expect(replacing.filter((file) => !alone.some((pattern) => matchesGlob(file, pattern)))).toEqual([]);
});
