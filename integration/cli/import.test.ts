import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { connect } from "../../agent/index.ts";
import { createPool } from "../../agent/pg.ts";
import { openManifest } from "../../cli/open.ts";
import { type Ended, runKeyturn, startKeyturn } from "../keyturn-command.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";
import { quicken } from "../quicken.ts";

const ref = "billing/db";
const adminPassword = "canary-admin-Pw4-77c2e0";
let postgres: PostgresServer;
let superuser: pg.Client;
let directory: string;
let environment: NodeJS.ProcessEnv;
let owners = 0;
let owner = "";
let password = "";
const printed: string[] = [];
const values = new Set<string>([adminPassword]);

beforeAll(async () => {
  postgres = await startPostgres({ maxConnections: 150 });
  superuser = await postgres.client();
  await superuser.query(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
});

afterAll(async () => {
  await superuser.end();
  await postgres.stop();
});

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "keyturn-import-"));
  environment = { ...process.env, XDG_CONFIG_HOME: join(directory, "config") };
  process.env.XDG_CONFIG_HOME = environment.XDG_CONFIG_HOME;
  owners += 1;
  owner = `billing${owners}`;
  password = `canary-legacy-Rt5-${owners}-ab31f9`;
  values.add(password);
  await superuser.query(`CREATE ROLE ${owner} LOGIN PASSWORD '${password}'; CREATE TABLE ${owner}_t (i int);
    ALTER TABLE ${owner}_t OWNER TO ${owner}`);
  const { sql } = await json<{ sql: string }>(
    ["init", ref, "--host", postgres.host, "--port", String(postgres.port), "--database", "postgres"].concat([
      "--owner",
      owner,
      "--ca",
      postgres.caPath,
      "--fleet",
      "invoices",
    ]),
    { input: `keyturn_admin\n${adminPassword}\n` },
  );
  await superuser.query(sql);
  quicken(join(directory, "keyturn.yaml"), ref, { cacheTtl: "100ms", atLeast: "100ms", atMost: "300ms" });
  return () => rmSync(directory, { recursive: true, force: true });
});

async function keyturn(args: readonly string[], input = ""): Promise<Ended> {
  const ended = await runKeyturn(args, { input, environment, directory });
  printed.push(ended.stdout, ended.stderr);
  return ended;
}

async function json<Result>(
  args: readonly string[],
  options: { input?: string; code?: number } = {},
): Promise<Result> {
  const { code, stdout, stderr } = await keyturn([...args, "--json"], options.input);
  expect({ code, stderr: code === (options.code ?? 0) ? "" : stderr }).toEqual({
    code: options.code ?? 0,
    stderr: "",
  });
  return JSON.parse(stdout);
}

async function stored(): Promise<string | undefined> {
  await using opened = await openManifest(join(directory, "keyturn.yaml"));
  const { ports } = await opened.secret(ref);
  const current = await ports.store.read(ref, "current");
  if (current !== undefined) values.add(JSON.parse(current.value.reveal()).password);
  return current?.value.reveal();
}

async function logsIn(login: { username: string; password: string }): Promise<boolean> {
  return postgres.client(login).then(
    (client) => client.end().then(() => true),
    () => false,
  );
}

/** Asks without a pause, a few at a time, until told to stop. */
function underLoad(ask: () => Promise<unknown>) {
  const failures: unknown[] = [];
  let stopped = false;
  let done = 0;
  const workers = Array.from({ length: 5 }, async () => {
    while (!stopped) {
      await ask().then(
        () => {
          done += 1;
        },
        (error: unknown) => failures.push(error),
      );
      await sleep(2);
    }
  });
  return {
    stop: async () => {
      stopped = true;
      await Promise.all(workers);
      return { failures, done };
    },
  };
}

describe("from a single login to two that alternate", { timeout: 180_000 }, () => {
  test("no query fails while the login is imported, while the fleet is moved off it, and while it is retired", async () => {
    const legacyLogin = {
      user: owner,
      password,
      host: "localhost",
      port: postgres.port,
      database: "postgres",
    };
    quicken(join(directory, "keyturn.yaml"), ref, { cacheTtl: "100ms", atLeast: "100ms", atMost: "20s" });
    const before = new pg.Pool({ ...legacyLogin, ssl: { ca: postgres.ca }, max: 4 });
    const query = `INSERT INTO ${owner}_t VALUES (1)`;
    const outside = underLoad(() => before.query(query));
    const imported = await json(["import", ref], { input: `${owner}\n${password}\n` });
    expect(imported).toMatchObject({ ref, answer: "imported", login: owner, findable: true });
    expect(await outside.stop()).toMatchObject({ failures: [] });
    await before.end();

    const token = (await keyturn(["enrol", "host-1", "--fleet", "invoices"])).stdout.trim();
    const service = startKeyturn(["serve", "--json"], { environment, directory });
    const socket = join(directory, ".keyturn", "agents.sock");
    await expect.poll(() => existsSync(socket), { timeout: 60_000 }).toBe(true);
    const client = await connect({ socket, token, agent: "host-1", fleet: "invoices", spreadMs: 20 });
    const pool = createPool(client, ref, { max: 4, ssl: { ca: postgres.ca } });
    const inside = underLoad(() => pool.query(query));
    const who = async () =>
      (await pool.query("SELECT session_user || ' as ' || current_user AS it")).rows[0]?.it;
    expect(await who()).toBe(`${owner} as ${owner}`);
    const rotated = await json<{ rotated: boolean; phase: string; debts: number }>(["rotate", ref, "--wait"]);
    expect(rotated).toMatchObject({ rotated: true, phase: "idle", debts: 0 });
    expect(await who()).toBe(`${owner}_a as ${owner}`);
    expect(await json(["rotate", ref, "--wait"])).toMatchObject({ rotated: true, phase: "idle" });
    expect(await who()).toBe(`${owner}_b as ${owner}`);
    const { failures, done } = await inside.stop();
    expect(failures).toEqual([]);
    expect(done).toBeGreaterThan(50);
    await pool.end();
    await client.close();
    service.child.kill("SIGTERM");
    const { stdout, stderr } = await service.ended;
    printed.push(stdout, stderr);

    expect(await logsIn({ username: owner, password })).toBe(false);
    const { rows } = await superuser.query(
      "SELECT rolcanlogin AS login, (SELECT count(*)::int FROM pg_stat_activity WHERE usename = $1) AS sessions FROM pg_roles WHERE rolname = $1",
      [owner],
    );
    expect(rows).toEqual([{ login: false, sessions: 0 }]);
    expect(await json(["audit", "verify"])).toMatchObject({ verified: true });
    await stored();
  });

  test("the plan says what becomes of whom and how to go back, and changes nothing", async () => {
    const plan = await json<{ ready: boolean; steps: { step: string; back: string }[] }>(
      ["import", ref, "--plan"],
      {
        input: `${owner}\n${password}\n`,
      },
    );
    expect(plan.ready).toBe(true);
    expect(plan.steps.map(({ step }) => step)).toEqual([
      `keyturn import ${ref}`,
      `keyturn rotate ${ref}`,
      "grace",
      "retire",
      "every rotation after that",
    ]);
    expect(plan.steps.every(({ back }) => back.length > 0)).toBe(true);
    expect(await stored()).toBeUndefined();
    const { rows } = await superuser.query("SELECT shobj_description($1::regrole, 'pg_authid') AS it", [
      owner,
    ]);
    expect(rows).toEqual([{ it: null }]);
    const { code, stdout } = await keyturn(["import", ref, "--plan"], `${owner}\nwrong-password\n`);
    expect([code, stdout]).toEqual([3, expect.stringContaining("NO  value: ")]);
  });

  test("the ways back that the plan names: before finish, in grace, and by hand after the retire", async () => {
    const input = `${owner}\n${password}\n`;
    await json(["import", ref], { input });
    quicken(join(directory, "keyturn.yaml"), ref, { cacheTtl: "100ms", atLeast: "30s", atMost: "60s" });
    expect(await json(["rotate", ref])).toMatchObject({ rotated: true, phase: "grace" });
    expect(await json(["rollback", ref])).toMatchObject({ rotated: true });
    expect(JSON.parse((await stored()) ?? "{}")).toMatchObject({ username: owner, password });
    expect(await logsIn({ username: owner, password })).toBe(true);
    quicken(join(directory, "keyturn.yaml"), ref, { cacheTtl: "100ms", atLeast: "100ms", atMost: "300ms" });
    await json(["rotate", ref, "--wait"]);
    await json(["rotate", ref, "--wait"]);
    expect(await logsIn({ username: owner, password })).toBe(false);
    await superuser.query(`ALTER ROLE ${owner} LOGIN PASSWORD '${password}'`);
    expect(await logsIn({ username: owner, password })).toBe(true);
    const { code, stderr } = await keyturn(["rotate", ref]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("must not be LOGIN")]);
    await superuser.query(`ALTER ROLE ${owner} NOLOGIN PASSWORD NULL`);
    expect(await json(["rotate", ref])).toMatchObject({ rotated: true });
  });
});

describe("what is given", { timeout: 180_000 }, () => {
  test("JSON is kept to the last byte, through two rotations, with the number that no JavaScript holds", async () => {
    const rest =
      '"host":"localhost", "tags": {"big": 123456789012345678901234567890, "u":"\\u00e9\\/"},  "z" : [1.50]';
    const text = `{"username":"${owner}","password":"${password}","port":${postgres.port},"database":"postgres",${rest}}`;
    await json(["import", ref], { input: `\uFEFF${text}\r\n` });
    expect(await stored()).toBe(text);
    await json(["rotate", ref, "--wait"]);
    await json(["rotate", ref, "--wait"]);
    const now = await stored();
    expect(now).toContain(rest);
    expect(now).not.toContain(password);
  });

  test("a URL, a value in the store, and the same again", async () => {
    const url = `postgres://${owner}:${password}@localhost:${postgres.port}/postgres?sslmode=require`;
    expect(await json(["import", ref], { input: url })).toMatchObject({ answer: "imported" });
    expect(await json(["import", ref], { input: url })).toMatchObject({ answer: "known" });
    expect(await json(["import", ref, "--from-store"])).toMatchObject({ answer: "known" });
    expect(JSON.parse((await stored()) ?? "{}")).toEqual({
      username: owner,
      password,
      host: "localhost",
      port: postgres.port,
      database: "postgres",
    });
    const leaked = await json<{ revoked: unknown[] }>(["revoke", "--leaked"], { input: password });
    expect(leaked.revoked).toMatchObject([{ ref, refused: true }]);
    expect(await logsIn({ username: owner, password })).toBe(false);
    await stored();
  });

  test("is refused, and nothing changes, when it is wrong", async () => {
    const cases: readonly (readonly [args: string[], input: string, code: number])[] = [
      [["import", ref], `${owner}\nwrong-password-1\n`, 3],
      [["import", ref], "", 2],
      [["import", ref], "nothing that we know", 2],
      [["import", ref], `{"username":"${owner}"}`, 2],
      [["import", ref], `postgres://${owner}:${password}@elsewhere/postgres`, 2],
      [["import", ref], `keyturn_admin\n${adminPassword}\n`, 2],
      [["import", "billing/none"], `${owner}\n${password}\n`, 2],
      [["import", "billing/db-admin"], `${owner}\n${password}\n`, 2],
      [["import", ref, "--from-store"], "", 4],
      [["import", ref, "--from-store", "no/such"], "", 2],
    ];
    for (const [args, input, code] of cases) {
      const ended = await keyturn(args, input);
      expect(ended.code, `${args.join(" ")}: ${ended.stderr}`).toBe(code);
    }
    expect(await stored()).toBeUndefined();
    expect(await logsIn({ username: owner, password })).toBe(true);
  });

  test("is imported once by two commands at once, and by one that comes after another was killed", async () => {
    const input = `${owner}\n${password}\n`;
    const { child, ended } = startKeyturn(["import", ref], { input, environment, directory });
    setTimeout(() => child.kill("SIGKILL"), 700);
    await ended;
    const both = await Promise.all([
      json<{ answer: string }>(["import", ref], { input }),
      json<{ answer: string }>(["import", ref], { input }),
    ]);
    expect(both.filter(({ answer }) => answer === "imported").length).toBeLessThanOrEqual(1);
    expect(await json(["rotate", ref, "--wait"])).toMatchObject({ rotated: true });
    await stored();
  });
});

test("no value was printed, or written into the server's log", async () => {
  const log = await readFile(postgres.logPath, "utf8");
  expect(values.size).toBeGreaterThan(8);
  expect(printed.length).toBeGreaterThan(20);
  for (const value of values) {
    expect(printed.join("\n").includes(value), "a value was printed").toBe(false);
    // The tests themselves made the canaries by SQL.
    if (!value.startsWith("canary-"))
      expect(log.includes(value), "a value was logged by the server").toBe(false);
  }
});
