import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { connectHost } from "../agent/index.ts";
import { createPool } from "../agent/pg.ts";
import { acceptReports } from "../core/accept-reports.ts";
import { request, versionMark } from "../core/operate.ts";
import { serveAgents } from "../local/server.ts";
import { loadRotator } from "../rotators/registry.ts";
import { adminRef, openWorld, type PasswordWorld } from "./password-world.ts";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";

let server: PostgresServer;
let world: PasswordWorld;

beforeAll(async () => {
  server = await startPostgres({ maxConnections: 300 });
});

afterAll(async () => {
  await server.stop();
});

beforeEach(async () => {
  world = await openWorld(server);
  return async () => world[Symbol.asyncDispose]();
});

async function logsIn(login: { username: string; password: string }): Promise<boolean> {
  return server.client(login).then(
    (client) => client.end().then(() => true),
    () => false,
  );
}

/** A role of an application, made by Keyturn with the administering login that administers itself. */
async function manageRole(ref: string, policy = {}): Promise<string> {
  const username = `${ref.replace("/", "_")}_${world.adminName}`;
  world.manage(ref, { type: "postgres-password", config: { username, create: true }, policy });
  return username;
}

test("an administering login rotates itself, and afterwards the others rotate with it as before", async () => {
  const before = await world.current(adminRef);
  const holder = await server.client(before);
  const values = [before];
  for (let rounds = 0; rounds < 3; rounds += 1) {
    await world.begin(adminRef);
    expect((await world.settle(adminRef)).state).toEqual({ phase: "idle" });
    values.push(await world.current(adminRef));
  }
  expect(new Set(values.map(({ password }) => password)).size).toBe(4);
  expect(await Promise.all(values.map(logsIn))).toEqual([false, false, false, true]);
  await expect(holder.query("SELECT")).rejects.toThrow();
  await manageRole("app/one");
  await world.begin("app/one");
  expect((await world.settle("app/one")).state.phase).toBe("idle");
  expect(await logsIn(await world.current("app/one"))).toBe(true);
  const gaps = (await world.audit(adminRef)).filter((line) => line.startsWith("finish.done"));
  expect(gaps).toHaveLength(3);
  for (const gap of gaps) expect(gap).toMatch(/not current, for at most \d+ ms$/);
});

test("rotations of others go on while the administering login changes under their hands", async () => {
  const owners = ["left", "right"].map((side) => `${side}_${world.adminName}`);
  const superuser = await server.client();
  for (const owner of owners) {
    await superuser.query(`CREATE ROLE "${owner}" NOLOGIN;
      GRANT "${owner}" TO "${world.adminName}" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE`);
    world.manage(owner, { type: "postgres-alternating", config: { owner } });
  }
  await superuser.end();
  await manageRole("app/one");
  const others = [...owners, "app/one"];
  // A third of the time it is between its set and its finish.
  const slow = { username: world.adminName, probe: "SELECT pg_sleep(0.15)" };
  world.manage(adminRef, { type: "postgres-password", config: slow });
  let rotating = others.length;
  const rotate = async (ref: string): Promise<void> => {
    for (let rounds = 0; rounds < 6; rounds += 1) {
      await world.begin(ref);
      expect((await world.settle(ref, `worker of ${ref}`)).state.phase).toBe("idle");
    }
    rotating -= 1;
  };
  const rotateAdmin = async (): Promise<number> => {
    let rounds = 0;
    for (; rotating > 0; rounds += 1) {
      await world.begin(adminRef);
      expect((await world.settle(adminRef, "worker of the admin")).state.phase).toBe("idle");
    }
    return rounds;
  };
  const [rounds] = await Promise.all([rotateAdmin(), ...others.map(rotate)]);
  expect(rounds).toBeGreaterThan(1);
  for (const ref of [...others, adminRef]) {
    const audit = await world.audit(ref);
    expect(audit.filter((line) => /^(undo|halted)|admin-refused/.test(line))).toEqual([]);
    expect(await logsIn(await world.current(ref))).toBe(true);
  }
});

test("who needs the administering login between set and finish finds pending, and when it is taken back, current", async () => {
  await manageRole("app/one");
  await world.begin("app/one");
  await world.settle("app/one");
  const { config } = world.secrets.get(adminRef) ?? {};
  const stuck = { ...Object(config), probe: "SELECT 1 FROM nowhere" };
  // The probe fails after set: for a while only pending is good, then current is again.
  world.manage(adminRef, { type: "postgres-password", config: stuck });
  await world.begin(adminRef);
  await world.begin("app/one");
  const [admin, app] = await Promise.all([world.settle(adminRef, "one"), world.settle("app/one", "two")]);
  expect([admin.state, app.state, admin.debts, app.debts]).toEqual([
    { phase: "idle" },
    { phase: "idle" },
    [],
    [],
  ]);
  expect((await world.audit(adminRef)).filter((line) => line.startsWith("undo.done"))).toHaveLength(1);
  expect(await logsIn(await world.current(adminRef))).toBe(true);
});

test("an administering login that is really refused is told as such, and not waited for", async () => {
  await manageRole("app/one");
  const superuser = await server.client();
  await superuser.query(`ALTER ROLE "${world.adminName}" PASSWORD 'by hand'`);
  await superuser.end();
  for (const ref of [adminRef, "app/one"]) {
    await world.begin(ref);
    expect((await world.settle(ref)).state).toEqual({ phase: "idle" });
    expect((await world.audit(ref)).find((line) => line.startsWith("undo.began"))).toMatch(/admin-refused/);
  }
});

test.each([false, true])(
  "a leaked administering login is replaced at once, its sessions end, whether it is to be cut first (%s) or not",
  async (cutFirst) => {
    const leaked = await world.current(adminRef);
    const intruder = await server.client(leaked);
    const version = await versionMark(adminRef, world.ports, "current");
    await request(adminRef, world.ports, { kind: "emergency", by: "tester", version, cutFirst });
    const record = await world.settle(adminRef);
    expect(record).toMatchObject({ state: { phase: "idle" }, debts: [] });
    expect(record.compromised[0]).toMatchObject({ sessionsEnded: 1, survives: [] });
    expect(record.compromised[0]?.refusedAt).toBeGreaterThan(0);
    await expect(intruder.query("SELECT")).rejects.toThrow();
    expect(await logsIn(leaked)).toBe(false);
    expect(await logsIn(await world.current(adminRef))).toBe(true);
  },
);

test("a leaked candidate is taken back with the sessions that were opened with it, and current's go on", async () => {
  const username = await manageRole("app/one");
  await world.begin("app/one");
  await world.settle("app/one");
  const atWork = await server.client(await world.current("app/one"));
  world.manage("app/one", {
    type: "postgres-password",
    config: { username, probe: "SELECT pg_sleep(1)" },
  });
  await world.begin("app/one");
  const rotating = world.settle("app/one", "slow");
  const intruder = await intrude(username);
  const version = await versionMark("app/one", world.ports, "pending");
  world.manage("app/one", { type: "postgres-password", config: { username } });
  await request("app/one", world.ports, { kind: "emergency", by: "tester", version, cutFirst: false });
  await rotating;
  const record = await world.settle("app/one");
  expect(record).toMatchObject({ state: { phase: "idle" }, debts: [] });
  expect(record.compromised[0]?.refusedAt).toBeGreaterThan(0);
  await expect(intruder.query("SELECT")).rejects.toThrow();
  expect(await logsIn(await world.current("app/one"))).toBe(true);
  await atWork.end().catch(() => undefined);
});

/** Somebody who has got hold of pending, as soon as it is good. */
async function intrude(username: string): Promise<pg.Client> {
  for (;;) {
    const stored = await world.local.store.read("app/one", "pending");
    const { password } = JSON.parse(stored?.value.reveal() ?? "{}");
    const client = await server.client({ username, password: password ?? "" }).catch(() => undefined);
    if (client !== undefined) return client;
    await sleep(5);
  }
}

test("fifty agents that follow the readers' rule work through a cutover, and one that is undone", async () => {
  const times = {
    cacheTtlMs: 1_000,
    graceAtLeastMs: 1_000,
    graceAtMostMs: 20_000,
    onLaggards: "hold",
  } as const;
  const username = await manageRole("app/one", times);
  await world.begin("app/one");
  await world.settle("app/one");
  const { local, ports } = world;
  const served = await serveAgents({
    ...local,
    secrets: { get: ports.secrets.get, values: () => world.secrets.values() },
    overlapOf: async (type) => (await loadRotator(type)).overlap,
    acceptReports: (reports) => acceptReports(ports, reports),
    onWake: () => undefined,
    log: ports.log,
  });
  const token = (await local.tokens.enrol({ principal: "host-1", fleets: ["agents"] })).reveal();
  await using host = await connectHost({
    socket: local.socketPath,
    token,
    principal: "host-1",
    spreadMs: 100,
  });
  const failures: unknown[] = [];
  let queries = 0;
  let ending = false;
  const work = async (number: number): Promise<void> => {
    const client = host.agent(String(number), "agents");
    // Connections that rest for a blink are closed: most queries log in anew.
    await using pool = createPool(client, "app/one", {
      max: 2,
      idleTimeoutMillis: 1,
      ssl: { ca: server.ca },
    });
    while (!ending) {
      await pool.query("SELECT 1").catch((error: unknown) => failures.push(error));
      queries += 1;
      await sleep(50 + Math.random() * 100);
    }
  };
  const working = Array.from({ length: 50 }, (_, number) => work(number));
  await sleep(500);
  try {
    // Longer than anybody waits who does not read pending.
    const slow = { username, probe: "SELECT pg_sleep(6)" };
    world.manage("app/one", { type: "postgres-password", config: slow, policy: times });
    await world.begin("app/one");
    expect((await world.settle("app/one")).state).toEqual({ phase: "idle" });
    const broken = { username, probe: "SELECT 1 FROM nowhere" };
    world.manage("app/one", { type: "postgres-password", config: broken, policy: times });
    await world.begin("app/one");
    expect((await world.settle("app/one")).state).toEqual({ phase: "idle" });
    await sleep(500);
  } finally {
    ending = true;
    await Promise.all(working);
    await served.close();
  }
  expect(failures).toEqual([]);
  expect(queries).toBeGreaterThan(200);
  const audit = await world.audit("app/one");
  expect(audit.filter((line) => line.startsWith("finish.done"))).toHaveLength(2);
  expect(audit.filter((line) => line.startsWith("undo.done"))).toHaveLength(1);
});
