import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { check } from "./check.ts";
import { makeRunFolder, runFolder, variable } from "./run-folder.ts";

let folder: string;
beforeEach(() => {
  folder = makeRunFolder();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A process of its own, watched as every process of a run is. */
function run(code: string): void {
  const environment = {
    PATH: process.env.PATH,
    [variable]: folder,
    TMPDIR: runFolder(folder).temporary,
    NODE_OPTIONS: `--import=${join(import.meta.dirname, "preload.mjs")}`,
  };
  const program = `
    import { execFileSync, execSync, spawn, spawnSync } from "node:child_process";
    import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
    import { rm } from "node:fs/promises";
    import { tmpdir } from "node:os";
    import { join } from "node:path";
    import { Secret } from ${JSON.stringify(join(import.meta.dirname, "../core/secret.ts"))};
    const value = new Secret(["planted", "9fK2wQ7x", "Zr4Tb8Lm"].join("-"));
    const folder = mkdtempSync(join(tmpdir(), "x-"));
    ${code}`;
  const { status, stderr } = spawnSync(
    process.execPath,
    ["--input-type=module-typescript", "--eval", program],
    {
      env: environment,
      encoding: "utf8",
    },
  );
  expect({ status, stderr: status === 0 ? "" : stderr }).toEqual({ status: 0, stderr: "" });
}

test.each([
  ["prints it", "console.log(value.reveal());", /^printed by processes/],
  ["complains with it", 'process.stderr.write("no: " + value.reveal());', /^printed by processes/],
  [
    "leaves it in a file",
    'writeFileSync(join(folder, "left"), value.reveal());',
    /^other temporary files: t\/x-.*\/left/,
  ],
  [
    "removes the folder with the file",
    'writeFileSync(join(folder, "gone"), value.reveal()); rmSync(folder, { recursive: true });',
    /^other temporary files: kept\/.*\/gone/,
  ],
  [
    "removes it later",
    'writeFileSync(join(folder, "gone"), value.reveal()); await rm(folder, { recursive: true, force: true });',
    /^other temporary files: kept\/.*\/gone/,
  ],
  [
    "gives it to another as an argument",
    'spawn("sleep", ["0.02", "--", value.reveal()]);',
    /^process lists: processes\//,
  ],
  [
    "gives it to another in its environment, and waits",
    'spawnSync("sleep", ["0.02"], { env: { ...process.env, PGPASSWORD: value.reveal() } });',
    /^process lists: processes\//,
  ],
  ["puts it into a shell's command", 'execSync("echo " + value.reveal());', /^process lists: processes\//],
  [
    "runs a file with it",
    'execFileSync("true", ["--password", value.reveal()]);',
    /^process lists: processes\//,
  ],
])("a process that %s is found out", (_, code, where) => {
  run(code);
  const { found, values } = check(folder);
  expect(values).toEqual(new Map([["processes", 1]]));
  // Who is quick is seen twice: by whoever starts it, and by whoever looks at all processes.
  expect(found).toEqual(found.map(() => expect.stringMatching(where)));
  expect(found.length).toBeGreaterThan(0);
});

test("a process that reveals a value and keeps it to itself is not", () => {
  run('writeFileSync(join(folder, "left"), String(value)); value.reveal(); console.log(value);');
  expect(check(folder).found).toEqual([]);
  expect(check(folder).values).toEqual(new Map([["processes", 1]]));
});

test("what a thread reveals is looked for, too", () => {
  run(`
    const { Worker } = await import("node:worker_threads");
    const secret = ${JSON.stringify(join(import.meta.dirname, "../core/secret.ts"))};
    const parts = JSON.stringify(["threaded", "4Hq8Wz2L", "Yc7Jd1Fp"]);
    const code = "import(" + JSON.stringify(secret) + ").then(({ Secret }) => console.log(new Secret(" + parts + ".join('-')).reveal()))";
    await new Promise((resolve) => new Worker(code, { eval: true }).once("exit", resolve));`);
  const { found, values } = check(folder);
  expect(values).toEqual(new Map([["processes", 1]]));
  expect(found).toEqual([expect.stringMatching(/^printed by processes/)]);
});

test("a part of an alphabet is no secret value, whoever reveals it: it stands in every program that knows base 64", () => {
  run('new Secret("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").reveal();');
  expect(check(folder).values.size).toBe(0);
});

test("values are of the suite whose tests reveal them, if many have one process", () => {
  run(`
    const { watch } = await import(${JSON.stringify(join(import.meta.dirname, "watch.ts"))});
    for (const suite of ["one", "other"]) {
      watch(${JSON.stringify(folder)}, suite);
      value.reveal();
    }
    new Secret(["planted", "5vR1nC8q", "Md3Xs6Gt"].join("-")).reveal();`);
  expect(check(folder).values).toEqual(
    new Map([
      ["one", 1],
      ["other", 2],
    ]),
  );
});
