import { execFile } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openManifest } from "../../cli/open.ts";
import { request, storeValue } from "../../core/operate.ts";
import { Secret } from "../../core/secret.ts";
import { type Ended, runKeyturn, startKeyturn } from "../keyturn-command.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";
import { quicken } from "../quicken.ts";

const ref = "billing/db";
const adminPassword = "canary-admin-Xq7-3f9a1c";
let postgres: PostgresServer;
let directory: string;
let environment: NodeJS.ProcessEnv;
let owners = 0;
/** Everything that any command printed: at the end no value may be found in it. */
const printed: string[] = [];
const values = new Set<string>([adminPassword]);

beforeAll(async () => {
  postgres = await startPostgres();
  const superuser = await postgres.client();
  await superuser.query(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
  await superuser.end();
});

afterAll(async () => {
  await postgres.stop();
});

let owner = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "keyturn-cli-"));
  environment = { ...process.env, XDG_CONFIG_HOME: join(directory, "config") };
  owners += 1;
  owner = `billing${owners}`;
  return () => rmSync(directory, { recursive: true, force: true });
});

async function keyturn(args: readonly string[], input = ""): Promise<Ended> {
  const ended = await runKeyturn(args, { input, environment, directory });
  printed.push(ended.stdout, ended.stderr);
  return ended;
}

/** Runs it with --json, expects that exit code, and gives what it printed. */
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

function initArgs(changes: Readonly<Record<string, string>> = {}): string[] {
  const options = {
    host: postgres.host,
    port: String(postgres.port),
    database: postgres.database,
    owner,
    ca: postgres.caPath,
    fleet: "invoice-agents",
    ...changes,
  };
  return ["init", ref, ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])];
}

async function init(changes: Readonly<Record<string, string>> = {}, password = adminPassword): Promise<void> {
  const { sql } = await json<{ sql: string }>(initArgs(changes), { input: `keyturn_admin\n${password}\n` });
  const superuser = await postgres.client();
  await superuser.query(sql);
  await superuser.end();
  quicken(join(directory, "keyturn.yaml"), ref, { cacheTtl: "100ms", atLeast: "100ms", atMost: "300ms" });
}

/** What the store has as current; from now on it may not be found in anything that is printed. */
async function current(): Promise<{ username: string; password: string }> {
  await using opened = await openManifest(join(directory, "keyturn.yaml"));
  const { ports } = await opened.secret(ref);
  const stored = await ports.store.read(ref, "current");
  const login: { username: string; password: string } = JSON.parse(stored?.value.reveal() ?? "null");
  values.add(login.password);
  return login;
}

async function logsIn(login: { username: string; password: string }): Promise<boolean> {
  try {
    const client = await postgres.client(login);
    await client.end();
    return true;
  } catch {
    return false;
  }
}

describe("the way of a newcomer", () => {
  beforeEach(() => {
    process.env.XDG_CONFIG_HOME = environment.XDG_CONFIG_HOME;
  });

  test("init, rotate, status, revoke, audit: from nothing to a database under Keyturn", async () => {
    await init();
    expect(statSync(join(directory, ".keyturn")).mode & 0o777).toBe(0o700);
    const before = await json<{ phase: string }>(["status", ref]);
    expect(before.phase).toBe("not begun");

    const first = await json<{ rotated: boolean; version: string; phase: string }>(["rotate", ref]);
    expect(first).toMatchObject({ rotated: true, phase: "idle" });
    const one = await current();
    expect(one.username).toBe(`${owner}_a`);
    expect(await logsIn(one)).toBe(true);

    const second = await json<{ version: string }>(["rotate", ref, "--wait"]);
    const two = await current();
    expect(second.version).not.toBe(first.version);
    expect([await logsIn(one), await logsIn(two)]).toEqual([false, true]);
    const after = await json<{ phase: string; current: { version: string }; debts: unknown[] }>([
      "status",
      ref,
    ]);
    expect(after).toMatchObject({ phase: "idle", current: { version: second.version }, debts: [] });

    const open = await postgres.client(two);
    const leaked = await json<{ revoked: { refused: boolean; refusedMs: number; sessionsEnded: number }[] }>(
      ["revoke", "--leaked"],
      { input: `  ${two.password}\n` },
    );
    expect(leaked.revoked).toMatchObject([{ version: second.version, refused: true, sessionsEnded: 1 }]);
    await open.end().catch(() => undefined);
    const three = await current();
    expect([await logsIn(two), await logsIn(three)]).toEqual([false, true]);

    const byName = await json<{ revoked: { refused: boolean }[] }>(["revoke", ref]);
    expect(byName.revoked).toMatchObject([{ refused: true }]);
    expect(await logsIn(three)).toBe(false);
    expect(await logsIn(await current())).toBe(true);
    expect(await json(["audit", "verify"])).toMatchObject({ verified: true, chains: [{ ref }] });
  });

  test("a leaked value that was retired before is known, and nothing is done twice", async () => {
    await init();
    await json(["rotate", ref]);
    const old = await current();
    await json(["rotate", ref, "--wait"]);
    const live = await current();
    const { revoked } = await json<{ revoked: unknown[] }>(["revoke", "--leaked"], { input: old.password });
    expect(revoked).toMatchObject([{ refused: true, sessionsEnded: 0 }]);
    expect(await current()).toEqual(live);
    expect(await json(["revoke", "--leaked"], { input: "nobody-ever-had-this-9f2", code: 6 })).toMatchObject({
      found: 0,
    });
  });

  test("a value that several secrets share is struck everywhere, though one target is down", async () => {
    await init();
    await json(["rotate", ref]);
    const shared = await current();
    const other = "billing/replica";
    await json(
      initArgs({ port: "1", owner: `${owner}other` }).map((arg) => (arg === ref ? other : arg)),
      {
        input: `keyturn_admin\n${adminPassword}\n`,
      },
    );
    const { ports } = await (await openManifest(join(directory, "keyturn.yaml"))).secret(other);
    const value = new Secret(JSON.stringify({ ...shared, username: `${owner}other_a` }));
    await storeValue(other, ports, value, { password: new Secret(shared.password) });
    expect((await keyturn(["revoke", "--leaked"], shared.password)).code).toBe(3);
    const { code, stdout } = await keyturn(
      ["revoke", "--leaked", "--yes", "--timeout", "4", "--json"],
      shared.password,
    );
    expect(code).toBe(5);
    expect(JSON.parse(stdout)).toMatchObject({
      found: 2,
      revoked: expect.arrayContaining([
        expect.objectContaining({ ref, refused: true }),
        expect.objectContaining({ ref: other, refused: false, phase: "set" }),
      ]),
    });
    expect(await logsIn(shared)).toBe(false);
    expect((await ports.journal.load(other))?.record.compromised).toHaveLength(1);
  });

  test("the service: one at a time, agents' socket closed to others, ended by a signal", async () => {
    await init();
    const { child, ended } = startKeyturn(["serve", "--json"], { environment, directory });
    await expect
      .poll(() => readdirSync(join(directory, ".keyturn")), { timeout: 10_000 })
      .toContain("agents.sock");
    expect(statSync(join(directory, ".keyturn", "agents.sock")).mode & 0o777).toBe(0o600);
    const rotated = await json<{ rotated: boolean }>(["rotate", ref, "--wait"]);
    expect(rotated.rotated).toBe(true);
    const second = await keyturn(["serve"]);
    expect(second.code).toBe(3);
    expect(second.stderr).toContain("is running");
    child.kill("SIGTERM");
    const { code, stderr } = await ended;
    printed.push(stderr);
    expect(code).toBe(0);
  });

  test("a version is named with a space, too, and the first of two who rotate at once hears the truth", async () => {
    await init();
    await json(["rotate", ref]);
    const leaked = await current();
    expect(await json(["revoke", ref, "--which", "current"])).toMatchObject({ revoked: [{ refused: true }] });
    expect(await logsIn(leaked)).toBe(false);
    const both = await Promise.all([json(["rotate", ref, "--wait"]), json(["rotate", ref, "--wait"])]);
    for (const one of both) expect(one).toMatchObject({ rotated: true });
    expect(await logsIn(await current())).toBe(true);
  });

  test("progress that nobody reads changes nothing", async () => {
    await init();
    await json(["rotate", ref]);
    const piped = `"${process.execPath}" "${join(import.meta.dirname, "../../cli/keyturn.mjs")}" rotate ${ref} --wait 2>&1 >/dev/null | head -1; exit \${PIPESTATUS[0]}`;
    await promisify(execFile)("bash", ["-c", piped], { cwd: directory, env: environment });
    expect(await json(["status", ref])).toMatchObject({ phase: "idle", debts: [] });
  });

  test.each(["audit.db", "events.db", "tokens.db"])(
    "an emergency goes on though %s is broken",
    async (name) => {
      await init();
      await json(["rotate", ref]);
      const leaked = await current();
      writeFileSync(join(directory, ".keyturn", name), "no database ".repeat(1_000));
      const { code, stderr } = await keyturn(["revoke", ref]);
      expect({ code, stderr }).toMatchObject({ code: 0 });
      expect([await logsIn(leaked), await logsIn(await current())]).toEqual([false, true]);
    },
  );

  test("rollback in grace, and cancel and resume where there is nothing to do", async () => {
    await init();
    await json(["rotate", ref]);
    const old = await current();
    quicken(join(directory, "keyturn.yaml"), ref, { cacheTtl: "100ms", atLeast: "5s", atMost: "5s" });
    await json(["rotate", ref]);
    const bad = await current();
    expect(await json(["cancel", ref], { code: 3 })).toMatchObject({ answer: "refused" });
    expect(await json(["rotate", ref])).toMatchObject({ answer: "waiting", rotated: false });
    quicken(join(directory, "keyturn.yaml"), ref, { cacheTtl: "100ms", atLeast: "100ms", atMost: "300ms" });
    expect(await json(["rollback", ref])).toMatchObject({ answer: "began", rotated: true });
    expect(await current()).toEqual(old);
    expect(await json(["resume", ref])).toMatchObject({ answer: "nothing" });
    await json(["rotate", ref, "--wait"]);
    expect([await logsIn(bad), await logsIn(old), await logsIn(await current())]).toEqual([
      false,
      false,
      true,
    ]);
  });

  test("a command that was killed in the middle is taken over by the next one, or by the service, at once", async () => {
    await init();
    await json(["rotate", ref]);
    const { child, ended } = startKeyturn(["rotate", ref], { environment, directory });
    await using opened = await openManifest(join(directory, "keyturn.yaml"));
    const { ports } = await opened.secret(ref);
    await expect
      .poll(async () => (await ports.journal.load(ref))?.record.lease !== undefined, {
        timeout: 10_000,
        interval: 1,
      })
      .toBe(true);
    child.kill("SIGKILL");
    await ended;
    const started = Date.now();
    await json(["rotate", ref, "--wait"]);
    expect(Date.now() - started).toBeLessThan(10_000);
    expect(await json(["status", ref])).toMatchObject({ phase: "idle", debts: [] });
    expect(await logsIn(await current())).toBe(true);
  });

  test("Ctrl-C leaves nothing half-done: the next command goes on", async () => {
    await init();
    quicken(join(directory, "keyturn.yaml"), ref, { cacheTtl: "100ms", atLeast: "2s", atMost: "2s" });
    await json(["rotate", ref]);
    const { child, ended } = startKeyturn(["rotate", ref, "--wait"], { environment, directory });
    await expect
      .poll(async () => (await json<{ phase: string }>(["status", ref])).phase, { timeout: 10_000 })
      .not.toBe("idle");
    child.kill("SIGINT");
    const { code, stderr } = await ended;
    expect(code).toBe(130);
    expect(stderr).toContain("goes on");
    await json(["rotate", ref, "--wait"]);
    expect(await json(["status", ref])).toMatchObject({ phase: "idle", debts: [] });
    expect(await logsIn(await current())).toBe(true);
  });
});

describe("a worker of the service", () => {
  beforeEach(() => {
    process.env.XDG_CONFIG_HOME = environment.XDG_CONFIG_HOME;
  });

  test.each(["SIGKILL", "SIGSTOP"] as const)(
    "%s: another takes over, and nothing is lost",
    async (signal) => {
      await init();
      await json(["rotate", ref]);
      const { child, ended } = startKeyturn(["serve", "--json"], { environment, directory });
      const pids: number[] = [];
      createInterface({ input: child.stderr ?? process.stdin }).on("line", (line) => {
        const { message, pid }: { message?: string; pid?: number } = line.startsWith("{")
          ? JSON.parse(line)
          : {};
        if (message === "worker ready") pids.push(pid ?? 0);
      });
      await expect.poll(() => pids.length, { timeout: 10_000 }).toBe(1);
      await using opened = await openManifest(join(directory, "keyturn.yaml"));
      const { ports, wake } = await opened.secret(ref);
      const before = await current();
      await request(ref, ports, { kind: "rotate", by: "test" });
      process.kill(pids[0] ?? 0, signal);
      await wake([ref]);
      await expect
        .poll(async () => (await ports.journal.load(ref))?.record.state.phase, { timeout: 30_000 })
        .toBe("idle");
      expect(pids.length).toBe(2);
      expect([await logsIn(before), await logsIn(await current())]).toEqual([false, true]);
      child.kill("SIGTERM");
      expect((await ended).code).toBe(0);
    },
  );
});

describe("bad input is told clearly, before anything has changed", () => {
  beforeEach(async () => {
    process.env.XDG_CONFIG_HOME = environment.XDG_CONFIG_HOME;
  });

  /** Exit code, what the message must say, and that the server has no login of this owner. */
  async function refuses(args: readonly string[], code: number, ...words: string[]): Promise<void> {
    const ended = await keyturn(args);
    expect({ code: ended.code, said: ended.stderr }).toMatchObject({ code });
    for (const word of words) expect(ended.stderr).toContain(word);
    const superuser = await postgres.client();
    const { rowCount } = await superuser.query("SELECT FROM pg_roles WHERE rolname = ANY ($1)", [
      [`${owner}_a`, `${owner}_b`],
    ]);
    await superuser.end();
    expect(rowCount).toBe(0);
  }

  const edit = (change: (text: string) => string): void => {
    const path = join(directory, "keyturn.yaml");
    writeFileSync(path, change(readFileSync(path, "utf8")));
  };

  test("no manifest", async () => {
    await refuses(["rotate", ref], 2, "keyturn.yaml", "keyturn init");
  });

  test("an unknown field names its line and the right one", async () => {
    await init();
    edit((text) => text.replace("owner: ", "ownr: "));
    await refuses(["rotate", ref], 2, "ownr");
    edit((text) => text.replace("ownr: ", "owner: ").replace("fleets:", "fleet:"));
    await refuses(["rotate", ref], 2, "fleet", "fleets", "keyturn.yaml:");
  });

  test("a field of the wrong type", async () => {
    await init();
    edit((text) => text.replace(/port: \d+/, "port: many"));
    await refuses(["rotate", ref], 2, "port");
  });

  test("an unknown secret", async () => {
    await init();
    await refuses(["rotate", "billing/dbb"], 2, "billing/dbb", ref);
  });

  test("an administering login that is not stored", async () => {
    await init();
    edit((text) => text.replaceAll("billing/db-admin", "billing/other-admin"));
    await refuses(["rotate", ref], 4, "billing/other-admin", "keyturn init");
  });

  test("a wrong administering password", async () => {
    await init({}, "not-the-password-5511");
    await refuses(["rotate", ref], 3, "keyturn_admin", "admin-refused", "keyturn put");
    // Set right, the same command works: nothing was left behind.
    await json(initArgs(), { input: JSON.stringify({ username: "keyturn_admin", password: adminPassword }) });
    expect(await json(["rotate", ref])).toMatchObject({ rotated: true });
  });

  test("a server that is not there", async () => {
    await init();
    edit((text) => text.replace(/port: \d+/, "port: 1"));
    const down = await keyturn(["rotate", ref, "--timeout", "2"]);
    expect(down.code).toBe(5);
    expect(down.stderr).toContain("unreachable");
  });

  test("standard input that is not a login", async () => {
    for (const input of ["", "only-a-name", '{"username": "x"}', '{"username": ']) {
      const ended = await keyturn(initArgs(), input);
      expect([2, 2]).toContain(ended.code);
      expect(ended.stderr).toMatch(/standard input|password|JSON/);
    }
    expect(readdirSync(directory)).not.toContain("keyturn.yaml");
  });

  test("a stored value that is not JSON, or lacks a field", async () => {
    await init();
    await using opened = await openManifest(join(directory, "keyturn.yaml"));
    const { ports } = await opened.secret(ref);
    await storeValue(ref, ports, new Secret("not json, canary-5b1f"), {});
    await refuses(["rotate", ref], 2, "credential-invalid", "not JSON");
    await storeValue(ref, ports, new Secret(JSON.stringify({ username: `${owner}_a` })), {});
    await refuses(["rotate", ref], 2, "credential-invalid", "password");
  });

  test("a login of that name that Keyturn did not make stays as it is", async () => {
    await init();
    const superuser = await postgres.client();
    await superuser.query(`CREATE ROLE ${owner}_a LOGIN SUPERUSER PASSWORD 'theirs'`);
    const { rows: before } = await superuser.query("SELECT * FROM pg_authid WHERE rolname = $1", [
      `${owner}_a`,
    ]);
    const ended = await keyturn(["rotate", ref]);
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain(`${owner}_a`);
    const { rows: after } = await superuser.query("SELECT * FROM pg_authid WHERE rolname = $1", [
      `${owner}_a`,
    ]);
    expect(after).toEqual(before);
    await superuser.end();
  });

  test("a store whose key can be read by others, or is gone", async () => {
    await init();
    const folder = join(directory, "config", "keyturn");
    const [name] = readdirSync(folder);
    const key = join(folder, name ?? "");
    chmodSync(key, 0o644);
    await refuses(["rotate", ref], 4, "chmod 600", key);
    rmSync(key);
    await refuses(["rotate", ref], 4, key);
  });

  test("a CA that is none, a token's file that is there, an entry with other values", async () => {
    expect(
      (await keyturn(initArgs({ ca: "/nowhere.pem" }), `keyturn_admin\n${adminPassword}\n`)).stderr,
    ).toContain("--ca");
    expect(readdirSync(directory)).not.toContain("keyturn.yaml");
    await init();
    writeFileSync(join(directory, "token"), "mine");
    const enrolled = await keyturn(["enrol", "host-1", "--fleet", "invoice-agents", "--out", "token"]);
    expect([enrolled.code, readFileSync(join(directory, "token"), "utf8")]).toEqual([2, "mine"]);
    const other = await keyturn(initArgs({ owner: "other" }), `keyturn_admin\n${adminPassword}\n`);
    expect([other.code, other.stdout]).toEqual([2, ""]);
    const usage = await keyturn(["rotate", "--json"]);
    expect(JSON.parse(usage.stdout)).toMatchObject({ error: { code: "input-invalid" } });
  });

  test("wrong usage", async () => {
    expect((await keyturn(["rotate"])).code).toBe(2);
    expect((await keyturn(["rotat", ref])).stderr).toContain("rotate");
    expect((await keyturn(["revoke"])).code).toBe(2);
    const version = await keyturn(["revoke", ref, "--version", "current"]);
    expect([version.code, version.stdout]).toEqual([2, ""]);
    expect(version.stderr).toContain("--which");
    expect((await keyturn(["--help"])).stdout).toContain("Exit codes");
  });
});

test("no command has printed a value, and the server's log has none", () => {
  const all = [
    ...printed,
    readFileSync(postgres.logPath, "utf8").replace(/CREATE ROLE keyturn_admin.*/g, ""),
  ].join("\n");
  expect(values.size).toBeGreaterThan(5);
  expect([...values].filter((value) => all.includes(value))).toEqual([]);
});
