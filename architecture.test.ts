import { describe, expect, it } from "vitest";
import { ruledFolders } from "./architecture.imports.ts";
import { rules } from "./architecture.rules.ts";
import { folderOf, importsOf, isCode, isTest, readTree, type SourceFile } from "./architecture.source.ts";

const tree = readTree(import.meta.dirname);

describe("this tree", () => {
  it("was seen: a check that saw no files is green", () => {
    const code = tree.filter(isCode);
    const folders = new Set(code.map(({ path }) => folderOf(path)));
    for (const folder of [...ruledFolders, "demo", "bench", "integration", ".ci"])
      expect(folders).toContain(folder);
    expect(code.filter(({ path }) => isTest(path)).length).toBeGreaterThan(40);
    expect(code.filter(({ path }) => !isTest(path)).length).toBeGreaterThan(90);
    expect(code.flatMap(importsOf).length).toBeGreaterThan(500);
    const documents = tree.filter((file) => !isCode(file)).map(({ path }) => path);
    expect(documents).toEqual(expect.arrayContaining(["README.md", "package.json", "package-lock.json"]));
  });

  it.each(Object.entries(rules))("keeps the rule: %s", (_, rule) => {
    expect(rule(tree)).toEqual([]);
  });
});

/** A small tree that keeps every rule. */
const good: Readonly<Record<string, string>> = {
  "package.json": JSON.stringify({
    scripts: {
      check: "npm run --silent lint && npm run --silent test",
      format: "biome format .",
      lint: "biome lint .",
      types: "tsc --noEmit",
      unused: "knip",
      test: "node cli/node-version.mjs && vitest run",
      "test:integration": "vitest run --config vitest.integration.config.ts",
      demo: "node demo/main.ts",
      bench: "node bench/main.ts",
      gen: "node rotators/generate.ts",
      build: "tsc -p tsconfig.build.json",
    },
  }),
  "package-lock.json": '{ "packages": { "node_modules/yaml": { "version": "2.9.1" } } }',
  "README.md":
    "npm ci, npm test, npm run check, npm run test:integration, npm run demo -- --json, npm run bench",
  "tsconfig.build.json": "{}",
  "vitest.integration.config.ts": "export default {};",
  "cli/node-version.mjs": "process.exit(78);",
  "cli/main.ts": 'import { Command } from "commander";\nimport type { Ports } from "../core/ports.ts";',
  "cli/keyturn.mjs": "await import(process.argv[2]);",
  "core/ports.ts":
    'import * as z from "zod/mini";\nexport const kinds = ["a"] as const;\nexport const at = new Date(0);',
  "core/ports.test.ts": 'import { readFileSync } from "node:fs";\nit("a", () => Date.now());',
  "rotators/generate.ts": 'import { readdirSync } from "node:fs";',
  "rotators/generate.test.ts": "",
  "rotators/registry.ts": 'export const load = () => import("./postgres.ts");',
  "rotators/postgres.ts": 'import pg from "pg";\nimport { kinds } from "../core/ports.ts";',
  "rotators/postgres.test.ts": 'import { startServer } from "../integration/server.ts";',
  "rotators/rotator.contract.ts": 'import { it } from "vitest";',
  "agent/index.ts":
    'import type { Secret } from "../core/secret.ts";\nexport { Client } from "./client.ts";\nexport const a = 1;',
  "agent/pg.ts": 'import pg from "pg";',
  "demo/main.ts": 'import { Pool } from "../agent/pg.ts";\nsetTimeout(() => Math.random(), 1);',
  "bench/main.ts": 'import { load } from "../rotators/registry.ts";',
};

function breaches(
  name: keyof typeof rules,
  changed: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const files = Object.entries({ ...good, ...changed }).flatMap(([path, text]): SourceFile[] =>
    text === undefined ? [] : [{ path, text }],
  );
  return rules[name](files);
}

it.each(Object.keys(rules))("a small good tree keeps the rule: %s", (name) => {
  const rule = Object.entries(rules).find(([known]) => known === name)?.[1];
  expect(rule?.(Object.entries(good).map(([path, text]) => ({ path, text })))).toEqual([]);
});

const imports = [
  ["core/a.ts", 'import { open } from "../local/open.ts";', "imports local/open.ts"],
  ["core/a.ts", 'import type { Open } from "../local/open.ts";', "imports local/open.ts"],
  ["core/a.ts", 'export * from "../agent/index.ts";', "imports agent/index.ts"],
  ["core/a.ts", 'export type { A } from "../agent/index.ts";', "imports agent/index.ts"],
  ["core/a.ts", 'export const a = () => import("../manifest/load.ts");', "imports manifest/load.ts"],
  ["core/a.ts", 'export type A = import("../cli/main.ts").A;', "imports cli/main.ts"],
  ["core/a.ts", 'import fs = require("node:fs");', "imports node:fs"],
  ["core/a.ts", 'import { createServer } from "node:net";', "imports node:net"],
  ["core/a.ts", 'import { z } from "zod";', "imports the package zod"],
  ["core/a.ts", 'import {\n  a,\n}\nfrom\n"yaml";', "imports the package yaml"],
  ["core/a.ts", 'import "./ports.test.ts";', "imports core/ports.test.ts, which is for tests"],
  ["core/a.ts", 'import { a } from "./fixtures/a.ts";', "imports core/fixtures/a.ts, which is for tests"],
  ["core/a.ts", "export const a = (b: string) => import(b);", "imports what is only known at run time"],
  [
    "core/a.ts",
    'export const a = (b: string) => import("./" + b);',
    "imports what is only known at run time",
  ],
  ["rotators/a.ts", 'import mysql from "mysql2";', "imports the package mysql2"],
  ["rotators/a.ts", 'import { load } from "../manifest/load.ts";', "imports manifest/load.ts"],
  ["manifest/a.ts", 'import { load } from "../rotators/registry.ts";', "imports rotators/registry.ts"],
  ["local/a.ts", 'import { main } from "../cli/main.ts";', "imports cli/main.ts"],
  ["agent/a.ts", 'import type { Ports } from "../core/ports.ts";', "imports core/ports.ts"],
  ["agent/a.ts", 'import pg from "pg";', "imports the package pg"],
  ["cli/a.ts", 'import { Client } from "../agent/client.ts";', "imports agent/client.ts"],
  ["cli/a.ts", 'import pg from "pg";', "imports the package pg"],
  ["cli/a.mjs", 'const a = await import("../demo/main.ts");', "imports demo/main.ts"],
] as const;

describe("who may import what", () => {
  it.each(imports)("in %s not: %s", (path, text, breach) => {
    expect(breaches("who may import what", { [path]: text })).toEqual([`${path}: line 1: ${breach}`]);
  });

  it("is one driver for a credential type, whose maker may have put it into several packages", () => {
    const aws = 'export const a = () => [import("@aws-sdk/client-iam"), import("@aws-sdk/client-sts")];\n';
    expect(breaches("who may import what", { "rotators/a.ts": aws })).toEqual([]);
    expect(breaches("who may import what", { "rotators/a.ts": `${aws}import pg from "pg";` })).toEqual([
      "rotators/a.ts: more than one driver: pg, @aws-sdk/client-iam, @aws-sdk/client-sts",
    ]);
  });

  it("is not asked of text that only looks like an import", () => {
    const text = 'export const a = `import "../cli/main.ts"`; // import "../cli/main.ts"';
    expect(breaches("who may import what", { "core/a.ts": text })).toEqual([]);
  });

  it("is to be said of every folder", () => {
    expect(breaches("who may import what", { "stuff/a.ts": "" })).toEqual([
      "stuff/a.ts: nobody has said what stuff/ may import",
    ]);
  });
});

const faults: Readonly<Record<Exclude<keyof typeof rules, "who may import what">, readonly Fault[]>> = {
  "time and chance come in by the door": [
    ...[
      "Date.now()",
      'Date["now"]()',
      "new Date()",
      "new Date",
      "Math.random()",
      "performance.now()",
      "setTimeout(a, 1)",
    ].map(inCore),
    ...[
      "globalThis.setInterval(a, 1)",
      "AbortSignal.timeout(1)",
      'import { randomUUID as id } from "node:crypto"',
    ].map(inCore),
    [{ "rotators/postgres.ts": "export const a = Date.now;" }, /^rotators\/postgres\.ts: line 1: Date\.now$/],
  ],
  "nothing escapes the types": [
    [{ "demo/main.ts": "const a: any = 1;" }, /line 1: any/],
    [{ "core/ports.test.ts": "\nexpect(a as any);" }, /line 2: any/],
    [{ "cli/main.ts": "type A = Record<string, any>;" }, /any/],
    [{ "cli/main.ts": "a!.b();" }, /`!`/],
  ],
  "no cast but `as const`": [
    [{ "cli/main.ts": "const a = <string>b;" }, /a cast/],
    [{ "cli/main.ts": "const a = b as string;" }, /a cast/],
  ],
  "no check is switched off": [
    [{ "cli/main.ts": `// @ts-${"ignore"}` }, /ignore/],
    [{ "core/ports.test.ts": `// biome-${"ignore"} lint` }, /ignore/],
  ],
  "every test runs": [
    ...[
      "it.skip",
      "describe.only",
      "test.todo",
      "it.concurrent.skip",
      "it.skipIf(a)",
      "describe.each([1]).only",
    ].map(
      (call): Fault => [{ "core/ports.test.ts": `${call}("a", () => {});` }, /core\/ports\.test\.ts: line 1/],
    ),
  ],
  "no file is long": [
    [{ "cli/main.ts": `${"\n".repeat(300)}a();` }, /301 lines/],
    [{ "core/ports.test.ts": `${"\n".repeat(500)}a();` }, /501 lines/],
  ],
  "no file only passes on what others export": [
    [{ "core/index.ts": 'export * from "./ports.ts";' }, /barrel/],
    [
      { "core/index.ts": 'import { a } from "./ports.ts";\nexport { b } from "./b.ts";\nexport { a };' },
      /barrel/,
    ],
  ],
  "no folder is named after nothing": [
    [{ "core/utils/a.ts": "" }, /utils/],
    [{ "cli/helpers/a.ts": "" }, /helpers/],
    [{ "common/a.ts": "" }, /common/],
    [{ "core/types/a.ts": "" }, /types/],
  ],
  "every credential type has its test beside it": [
    [{ "rotators/postgres.test.ts": undefined }, /^rotators\/postgres\.ts: no test/],
  ],
  "every script is there, and what it runs": [
    [{ "package.json": good["package.json"]?.replace('"demo":', '"show":') }, /no script demo/],
    [{ "package.json": good["package.json"]?.replace("--silent lint", "--silent lnt") }, /check calls lnt/],
    [{ "bench/main.ts": undefined }, /bench runs bench\/main\.ts/],
    [{ "vitest.integration.config.ts": undefined }, /runs vitest\.integration\.config\.ts/],
  ],
  "the README speaks of the scripts that there are": [
    [{ "README.md": undefined }, /not there/],
    [{ "README.md": good["README.md"]?.replace("npm test,", "") }, /says nothing of the script test/],
    [{ "docs/a.md": "`npm run nonsense`" }, /docs\/a\.md: the script nonsense/],
  ],
  "the lock file works with every registry": [
    [{ "package-lock.json": '"resolved": "https://registry.example/yaml.tgz"' }, /host/],
  ],
};

type Fault = readonly [changed: Readonly<Record<string, string | undefined>>, breach: RegExp];

function inCore(expression: string): Fault {
  const text = expression.startsWith("import") ? expression : `export const a = ${expression};`;
  return [{ "core/a.ts": text }, /^core\/a\.ts: line 1: /];
}

const allFaults = Object.entries(faults).flatMap(([name, list]) =>
  list.map(([changed, breach]) => ({ name, changed, breach })),
);

it.each(allFaults)("is seen to fail: $name, by $changed", ({ name, changed, breach }) => {
  const rule = Object.keys(rules).find((known): known is keyof typeof rules => known === name);
  const found = rule === undefined ? [] : breaches(rule, changed);
  expect(found).toEqual([expect.stringMatching(breach)]);
});
