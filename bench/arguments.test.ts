import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readArguments } from "./arguments.ts";

it.each([
  [[], { subject: "local", json: false }],
  [["--json"], { subject: "local", json: true }],
  [["aws"], { subject: "aws", json: false }],
  [["aws", "--json"], { subject: "aws", json: true }],
  [["aws", "--help"], "help"],
  [["azure"], { error: "there is no bench for azure: local or aws" }],
  [["aws", "local"], { error: "one bench at a time, not aws and local" }],
])("reads %j", (words, asked) => {
  expect(readArguments(words)).toEqual(asked);
});

it("refuses an option that nobody knows", () => {
  expect(readArguments(["--fast"])).toMatchObject({ error: expect.stringContaining("--fast") });
});

it.each([
  [["azure"], 2, /^there is no bench for azure/],
  [["--help"], 0, /npm run bench -- aws/],
])("of %j the command answers with exit code %i", (words, code, said) => {
  const main = join(import.meta.dirname, "main.ts");
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...words], { encoding: "utf8" });
  expect(status).toBe(code);
  expect(stdout + stderr).toMatch(said);
});
