import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { CommandPlace } from "../command-place.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";

/** The dry run on a real PostgreSQL: what it says, and that it leaves no trace anywhere. */
const ref = "billing/db";
const adminPassword = "canary-plan-admin-4Tz8";

interface Plan {
  readonly ready: boolean;
  readonly secrets: readonly {
    readonly ready: boolean;
    readonly answer: string;
    readonly why: string;
    readonly checks: readonly { readonly check: string; readonly ok: boolean; readonly message: string }[];
    readonly steps: readonly { readonly step: string; readonly change: string }[];
    readonly schedule: { readonly nextInMs?: number; readonly note: string };
    readonly affected: {
      readonly agents: number;
      readonly sessions?: number;
      readonly clients: readonly string[];
    };
    readonly cost: { readonly connections: number; readonly refusedLogins: number };
  }[];
  readonly unreadable: readonly { readonly ref: string; readonly error: { readonly code: string } }[];
}

let postgres: PostgresServer;
let superuser: pg.Client;
let place: CommandPlace;
let owners = 0;
let owner = "";

beforeAll(async () => {
  postgres = await startPostgres({ settings: { log_statement: "mod", log_min_duration_statement: "-1" } });
  superuser = await postgres.client();
  await superuser.query(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
});

afterAll(async () => {
  await superuser.end();
  await postgres.stop();
});

beforeEach(async () => {
  place = new CommandPlace(postgres, adminPassword);
  owners += 1;
  owner = `planned${owners}`;
  await place.init(ref, owner);
  return () => {
    expect(place.leaked()).toEqual([]);
    place.remove();
  };
});

/** Everything that a dry run could have touched: each file with its rights and content, each role with its row's version, each changing statement. */
async function traces(): Promise<unknown> {
  const files = readdirSync(place.directory, { recursive: true, encoding: "utf8" }).sort();
  const contents = files.flatMap((name) => {
    const path = join(place.directory, name);
    const { mode } = statSync(path);
    if (!statSync(path).isFile()) return [[name, mode]];
    return [[name, mode, createHash("sha256").update(readFileSync(path)).digest("hex")]];
  });
  const catalogs = ["pg_authid", "pg_shdescription", "pg_auth_members", "pg_db_role_setting", "pg_shdepend"];
  const rows: unknown[] = [];
  for (const name of catalogs) {
    rows.push((await superuser.query(`SELECT xmin, t::text FROM ${name} t ORDER BY t::text`)).rows);
  }
  const log = readFileSync(postgres.logPath, "utf8");
  return { contents, rows, statements: log.split("\n").filter((line) => line.includes("statement:")) };
}

test("writes nothing anywhere, before the first rotation and after it", async () => {
  const before = await traces();
  const first = await place.json<Plan>(["plan", ref]);
  expect(await traces()).toEqual(before);
  expect(first.secrets[0]).toMatchObject({ ready: true, answer: "began" });
  expect(first.secrets[0]?.schedule.nextInMs).toBeUndefined();

  await place.json(["rotate", ref]);
  const settled = await traces();
  const next = await place.json<Plan>(["plan"]);
  expect(await traces()).toEqual(settled);
  expect(next.secrets[0]?.schedule.nextInMs).toBeGreaterThan(86_400_000);
});

test("says what would change, in order, whom it affects and what it costs", async () => {
  await place.json(["rotate", ref]);
  const reader = await postgres.client({ ...(await place.current(ref)), applicationName: "report" });
  const { secrets } = await place.json<Plan>(["plan", ref]);
  await reader.end();
  const [plan] = secrets;
  expect(plan?.steps.map(({ step }) => step)).toEqual([
    "create",
    "set",
    "test",
    "finish",
    "announce",
    "grace",
    "retire",
  ]);
  expect(plan?.steps.find(({ step }) => step === "set")?.change).toContain(`${owner}_b`);
  expect(plan?.steps.find(({ step }) => step === "retire")?.change).toContain(`${owner}_a`);
  expect(plan?.affected).toMatchObject({ agents: 0, sessions: 1 });
  expect(plan?.affected.clients[0]).toContain("report");
  expect(plan?.cost).toMatchObject({ connections: 4, refusedLogins: 1 });
});

test("a check that fails is named, and the exit code says so; a rotation would be refused for the same", async () => {
  await superuser.query(`ALTER ROLE ${owner} LOGIN`);
  const { ready, secrets } = await place.json<Plan>(["plan", ref], { code: 6 });
  expect(ready).toBe(false);
  expect(secrets[0]?.checks.filter(({ ok }) => !ok)).toEqual([
    { check: "owner", ok: false, message: expect.stringContaining("LOGIN") },
  ]);
  const page = await place.keyturn(["plan", ref]);
  expect(page.code).toBe(6);
  expect(page.stdout).toContain("NOT READY");
  expect(page.stdout).toContain("FAILED    owner");
});

test("says what stands in the way in the journal", async () => {
  await place.json(["rotate", ref]);
  await place.json(["pause", ref, "--reason", "year-end freeze"]);
  const { secrets } = await place.json<Plan>(["plan", ref], { code: 6 });
  expect(secrets[0]).toMatchObject({ ready: false, answer: "refused" });
  expect(secrets[0]?.why).toContain("year-end freeze");
});

test("a target that is out of reach is an outage, and not a finding", async () => {
  const elsewhere = new CommandPlace(postgres, adminPassword);
  try {
    await elsewhere.init(ref, `${owner}x`, { port: "1" });
    const { unreadable } = await elsewhere.json<Plan>(["plan", ref], { code: 5 });
    expect(unreadable).toMatchObject([{ ref, error: { code: "unreachable" } }]);
  } finally {
    elsewhere.remove();
  }
});
