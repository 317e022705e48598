import { execFile } from "node:child_process";
import { chmodSync, chownSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { leavesOf, pathOf } from "../../cli/commands-page.ts";
import { keyturnProgram } from "../../cli/main.ts";
import { CommandPlace, expectToFit } from "../command-place.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";

/** Every command, called by somebody who may not open what it needs. */
const keyturn = fileURLToPath(new URL("../../cli/keyturn.mjs", import.meta.url));
const ref = "billing/db";
const adminPassword = "canary-denied-admin-4Hs6";
const isRoot = process.getuid?.() === 0;
const somebodyElse = 65_534;
let postgres: PostgresServer;
let place: CommandPlace;

beforeAll(async () => {
  postgres = await startPostgres();
  const superuser = await postgres.client();
  await superuser.query(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
  await superuser.end();
  place = new CommandPlace(postgres, adminPassword);
  await place.init(ref, "denied");
  await place.json(["rotate", ref, "--wait"]);
  await place.current(ref);
});

afterEach(allow);

afterAll(async () => {
  await postgres.stop();
  place.remove();
});

/** The store's folder is another's; root is without the rights to pass over that. */
function deny(path: string): void {
  if (isRoot) chownSync(path, somebodyElse, somebodyElse);
  chmodSync(path, isRoot ? 0o700 : 0o000);
}

function allow(): void {
  for (const [path, mode] of [
    [place.manifestPath, 0o600],
    [join(place.directory, ".keyturn"), 0o700],
    [join(place.directory, ".keyturn/secrets.db"), 0o600],
    [join(place.directory, ".keyturn/journal.db"), 0o600],
  ] as const) {
    chmodSync(path, mode);
    if (isRoot) chownSync(path, 0, 0);
  }
}

function run(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const node = [process.execPath, keyturn, ...args];
  const [command = "", ...rest] = isRoot
    ? ["setpriv", "--bounding-set=-all", "--inh-caps=-all", ...node]
    : node;
  return new Promise((resolve) => {
    const options = { cwd: place.directory, env: place.environment, timeout: 30_000 };
    const child = execFile(command, rest, options, (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? child.exitCode ?? -1), stdout, stderr }),
    );
    child.stdin
      ?.on("error", () => undefined)
      .end(`{"username": "keyturn_admin", "password": "${adminPassword}"}`);
  });
}

/** What each is called with, and how it ends: 5 is out of reach, 6 a finding of the doctor, 0 what opens no store. */
const calls: Readonly<Record<string, readonly [code: number, ...args: string[]]>> = {
  // The entry that is there, said again.
  init: [
    5,
    ref,
    "--host",
    "localhost",
    "--owner",
    "denied",
    "--fleet",
    "invoice-agents",
    "--admin",
    "db-admin",
  ],
  lint: [0],
  import: [5, ref],
  plan: [5],
  rotate: [5, ref],
  status: [5],
  watch: [5, "--until", "idle"],
  cancel: [5, ref],
  rollback: [5, ref],
  retire: [5, ref],
  hold: [5, ref, "--reason", "r"],
  release: [5, ref],
  pause: [5, "--all"],
  resume: [5, "--all"],
  revoke: [5, ref],
  approve: [2],
  doctor: [6, "--fix"],
  debts: [5],
  "audit verify": [5],
  "audit export": [5],
  "audit sign": [5],
  "audit root": [5],
  "audit keys": [5],
  "audit rotate-key": [5],
  rotators: [0],
  put: [5, "db-admin"],
  enrol: [5, "host-1", "--fleet", "invoice-agents", "--out", "host-1.token"],
  "notify test": [2, "oncall"],
  serve: [5],
  completion: [0, "bash"],
};

/** Every file, when it was written and how long it is. */
function kept(): readonly string[] {
  return readdirSync(place.directory, { recursive: true })
    .map(String)
    .map((name) => {
      const { mtimeMs, size } = statSync(join(place.directory, name));
      return `${name} ${mtimeMs} ${size}`;
    })
    .sort();
}

test("every command is called here", async () => {
  expect(Object.keys(calls).sort()).toEqual(
    leavesOf(await keyturnProgram())
      .map(pathOf)
      .sort(),
  );
});

/** Runs it with --json; expects that exit code, and a result of the published shape that is an error. */
async function expectDenied(path: string, code: number, args: readonly string[]): Promise<string> {
  const ended = await run([...path.split(" "), ...args, ...(path === "completion" ? [] : ["--json"])]);
  place.printed.push(ended.stdout, ended.stderr);
  expect({ path, ...ended }).toEqual({ path, ...ended, code });
  if (code === 0) return "";
  for (const line of ended.stdout.trimEnd().split("\n")) expectToFit(path, line);
  expect(ended.stdout).toContain('"error"');
  return ended.stdout;
}

test("a store of somebody else: every command says so, and leaves everything as it is", async () => {
  const known = kept();
  deny(join(place.directory, ".keyturn"));
  for (const [path, [code, ...args]] of Object.entries(calls)) {
    const target = ["--port", String(postgres.port), "--database", postgres.database];
    const said = await expectDenied(path, code, path === "init" ? [...args, ...target] : args);
    if (code > 2) expect(said).toContain("EACCES");
  }
  allow();
  expect(kept()).toEqual(known);
  expect(place.leaked()).toEqual([]);
  expect((await place.keyturn(["audit", "verify"])).code).toBe(0);
}, 120_000);

test.each(["secrets.db", "journal.db"])("a store whose %s is somebody else's", async (file) => {
  deny(join(place.directory, ".keyturn", file));
  expect(await expectDenied("status", 5, [])).toContain(file);
  expect(await expectDenied("doctor", 6, ["--fix"])).toContain(file);
});

test("a manifest that may not be read", async () => {
  deny(place.manifestPath);
  for (const [path, args] of [
    ["status", []],
    ["lint", []],
    ["doctor", []],
    ["revoke", ["--leaked"]],
    ["serve", []],
  ] as const)
    expect(await expectDenied(path, 2, args)).toContain("may not be read");
});
