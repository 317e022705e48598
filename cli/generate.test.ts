import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { leavesOf, pathOf } from "./commands-page.ts";
import { generated } from "./generate.ts";
import { keyturnProgram } from "./main.ts";
import { resultless, resultSchemas } from "./results/table.ts";

const root = join(import.meta.dirname, "..");
const program = await keyturnProgram();
const commands = leavesOf(program).map((command) => ({ path: pathOf(command), command }));

const all = await generated();

test.each([...all])("%s is what `npm run gen` writes", (path, text) => {
  expect(readFileSync(join(root, path), "utf8")).toBe(text);
});

test("no schema is left of a command that there is no more", () => {
  const written = readdirSync(join(root, "schemas/cli")).map((name) => `schemas/cli/${name}`);
  expect(written.filter((path) => !all.has(path))).toEqual([]);
});

test("every command has a result with a schema, or is known to have none", () => {
  const known = [...Object.keys(resultSchemas), ...resultless];
  expect(known.toSorted()).toEqual(commands.map(({ path }) => path).toSorted());
});

test("the page has every command and every option, and no other", () => {
  const page = readFileSync(join(root, "docs/commands.md"), "utf8");
  const headings = [...page.matchAll(/^## keyturn (.*)$/gm)].map(([, path]) => path);
  expect(headings).toEqual(commands.map(({ path }) => path));
  for (const { path, command } of commands) {
    const section = page.split(`## keyturn ${path}\n`)[1]?.split("\n## ")[0] ?? "";
    const rows = [...section.matchAll(/^\| `([^`]*)`/gm)].map(([, flags]) => flags);
    expect(rows, path).toEqual(command.options.filter(({ hidden }) => !hidden).map(({ flags }) => flags));
    for (const argument of command.registeredArguments) expect(section).toContain(`- \`${argument.name()}\``);
  }
});

test.each(commands)("keyturn $path has an example whose options there are", ({ path, command }) => {
  const pieces: string[] = [];
  command.configureOutput({ writeOut: (piece) => void pieces.push(piece) });
  command.outputHelp();
  const examples = pieces.join("").split(/^Examples?:$/m)[1] ?? "";
  expect(examples).toContain(`keyturn ${path}`);
  const options = [...command.options, ...program.options].map(({ long }) => long);
  const ours = examples
    .split("\n")
    .flatMap((line) => line.split("keyturn ").slice(1))
    .join("\n");
  const used = [...ours.matchAll(/(?<=\s)--[a-z][a-z-]*/g)].map(([flag]) => flag);
  expect(used.filter((flag) => !options.includes(flag))).toEqual([]);
});

test("no option and no argument takes a secret itself; the name of a file is none", () => {
  const taking = commands.flatMap(({ command }) => command.options.filter((one) => one.required));
  expect(taking.length).toBeGreaterThan(10);
  const suspect = taking.filter(
    ({ long, flags }) => /password|secret|token|value|key$/.test(long ?? "") && !flags.includes("<file>"),
  );
  expect(suspect.map(({ flags }) => flags)).toEqual([]);
  const named = commands.flatMap(({ command }) => command.registeredArguments.map((one) => one.name()));
  expect(named.length).toBeGreaterThan(10);
  // A reference to a secret is none either.
  expect(named.filter((name) => /password|token|value|key$|leaked|login/.test(name))).toEqual([]);
});
