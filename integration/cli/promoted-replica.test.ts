import { afterAll, beforeAll, expect, test } from "vitest";
import { CommandPlace } from "../command-place.ts";
import { type PostgresReplica, replicationRule, startReplica } from "../postgres-replica.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";
import { quicken } from "../quicken.ts";
import { startProxy, type TcpProxy } from "../tcp-proxy.ts";

/**
 * A database dies, and the replica that takes its place had not heard of the last change: the store has published values that the
 * promoted one never saw, and values that were retired work there again. The address stays the same.
 */
const adminPassword = "canary-promoted-admin-4Ht8";
const quick = { cacheTtl: "100ms", atLeast: "100ms", atMost: "300ms" };
const inTurn = ["once/db", "twice/db", "grace/db"];
const inPlace = ["one/db", "own/db"];

interface Login {
  readonly username: string;
  readonly password: string;
}

interface Report {
  readonly healthy: boolean;
  readonly secrets: readonly {
    readonly fixed: boolean;
    readonly diagnoses: readonly {
      readonly ailment: string;
      readonly what: string;
      readonly fix?: string;
      readonly advice: string;
    }[];
  }[];
}

let primary: PostgresServer;
let replica: PostgresReplica;
let proxy: TcpProxy;
let place: CommandPlace;
/** What was current before the change that the replica never saw. */
const before = new Map<string, Login>();

beforeAll(async () => {
  primary = await startPostgres({ hba: [replicationRule] });
  proxy = await startProxy(primary);
  let serving = primary;
  const address = { ...primary, port: proxy.port, client: (login?: Login) => serving.client(login) };
  place = new CommandPlace(address, adminPassword);
  await asSuperuser(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}';
    CREATE ROLE own_admin LOGIN CREATEROLE PASSWORD '${adminPassword}';
    GRANT pg_signal_backend, pg_read_all_stats TO own_admin`);
  for (const ref of inTurn) await place.init(ref, ref.replace("/db", ""));
  place.manage("one/db", "db-admin", { username: "one", create: true });
  place.manage("own/admin", "own/admin", { username: "own_admin" });
  place.manage("own/db", "own/admin", { username: "own", create: true });
  quicken(place.manifestPath, "grace/db", { ...quick, atLeast: "1h", atMost: "2h" });
  await place.json(["import", "own/admin"], { input: `own_admin\n${adminPassword}\n` });
  await rotate(...inTurn, ...inPlace);
  await rotate("twice/db");
  for (const ref of [...inTurn, ...inPlace, "own/admin"]) before.set(ref, await place.current(ref));

  replica = await startReplica(primary);
  await replica.caughtUp();
  await replica.cutOff();
  await rotate("once/db", "twice/db", "one/db", "own/admin");
  await rotate("own/db");
  expect(await place.json(["rotate", "grace/db"])).toMatchObject({ phase: "grace" });

  primary.kill("SIGKILL");
  await replica.promote();
  serving = replica;
  proxy.redirect(replica);
}, 120_000);

afterAll(async () => {
  expect(place.leaked()).toEqual([]);
  place.remove();
  await proxy.close();
  await replica.stop();
  await primary.stop();
});

test.each([
  ["whose second login it has never seen", "once/db", ["current-refused", "revived"]],
  ["whose logins it has both, with older values", "twice/db", ["current-refused", "revived"]],
  ["with one password, which it has from before", "one/db", ["current-refused"]],
])(
  "a secret %s gets the value that the agents have, and what was retired is refused again",
  async (_, ref, ailments) => {
    const [old, current] = await expectBehind(ref);
    const told = await place.json<Report>(["doctor", ref], { code: 6 });
    expect(ailmentsOf(told)).toEqual(ailments);
    expect(told.secrets[0]?.diagnoses[0]).toMatchObject({
      what: expect.stringContaining("a replica promoted?"),
      fix: "makes the target accept the same value again",
      advice: expect.stringContaining("run it with --fix"),
    });
    expect(await place.json<Report>(["doctor", ref, "--fix"])).toMatchObject({ healthy: true });
    expect(await place.current(ref)).toEqual(current);
    expect(await place.logsIn(current)).toBe(true);
    // The old one has its grace; whoever works on the secret next sees to its end.
    await expectWell(ref);
    expect(await place.logsIn(old)).toBe(false);
  },
);

test("a secret whose agents were changing over keeps both values", async () => {
  const [old, current] = await expectBehind("grace/db");
  const told = await place.json<Report>(["doctor", "grace/db"], { code: 6 });
  expect(ailmentsOf(told)).toEqual(["current-refused"]);
  expect(await place.json<Report>(["doctor", "grace/db", "--fix"])).toMatchObject({ healthy: true });
  expect(await place.current("grace/db")).toEqual(current);
  expect([await place.logsIn(current), await place.logsIn(old)]).toEqual([true, true]);
  expect(await place.json<Report>(["doctor", "grace/db"])).toMatchObject({ healthy: true });
});

test("an administering login that had rotated itself is a person's matter, who is told what to do, and then all is mended", async () => {
  const [, lost] = await expectBehind("own/admin");
  const [old, current] = await expectBehind("own/db");
  for (const ref of ["own/admin", "own/db"]) {
    const told = await place.json<Report>(["doctor", ref, "--fix"], { code: 6 });
    expect(ailmentsOf(told)).toEqual(["current-refused", "not-ready", "unreachable"]);
    expect(told.secrets[0]?.fixed).toBe(false);
    const [refused, , unreachable] = told.secrets[0]?.diagnoses ?? [];
    expect(refused).toMatchObject({ what: expect.stringContaining("could not be seen") });
    expect(refused).not.toHaveProperty("fix");
    expect(unreachable?.what).toContain('password authentication failed for user "own_admin"');
    expect(unreachable?.advice).toContain("`keyturn put`");
  }

  const given = { username: "own_admin", password: "canary-promoted-given-7Lm3" };
  place.values.add(given.password);
  const put = { input: JSON.stringify(given) };
  // A value that the target does not know either helps nobody.
  await expectRefused("own/admin", put, "give the login a password there first");
  await asSuperuser(`ALTER ROLE own_admin PASSWORD '${given.password}'`);
  expect(await place.json(["put", "own/admin"], put)).toMatchObject({ replaced: true });
  // From here on Keyturn is in again, and nobody else is to change what it rotates.
  await expectRefused("own/admin", put, "is rotated");

  expect(await place.json<Report>(["doctor", "own/db", "--fix"])).toMatchObject({ healthy: true });
  expect(await place.current("own/db")).toEqual(current);
  expect(await place.logsIn(current)).toBe(true);
  for (const ref of ["own/admin", "own/db"]) await expectWell(ref);
  for (const login of [old, lost, given]) expect(await place.logsIn(login)).toBe(false);
  expect(await place.json(["audit", "verify"])).toMatchObject({ verified: true });
});

async function rotate(...refs: readonly string[]): Promise<void> {
  await Promise.all(refs.map((ref) => place.json(["rotate", ref, "--wait"])));
}

/** The promoted server knows what was current before, and does not know what is. */
async function expectBehind(ref: string): Promise<readonly [old: Login, current: Login]> {
  const current = await place.current(ref);
  const old = before.get(ref) ?? current;
  expect([await place.logsIn(old), await place.logsIn(current)]).toEqual([true, false]);
  return [old, current];
}

/** Nothing is wrong any more, and the next rotation is one like any other. */
async function expectWell(ref: string): Promise<void> {
  expect(await place.json<Report>(["doctor", ref])).toMatchObject({ healthy: true });
  const old = await place.current(ref);
  expect(await place.json(["rotate", ref, "--wait"])).toMatchObject({ rotated: true, debts: 0 });
  expect([await place.logsIn(await place.current(ref)), await place.logsIn(old)]).toEqual([true, false]);
}

async function expectRefused(ref: string, put: { readonly input: string }, why: string): Promise<void> {
  const { error } = await place.json<{ error: object }>(["put", ref], { ...put, code: 3 });
  expect(error).toMatchObject({ code: "request-refused", message: expect.stringContaining(why) });
}

function ailmentsOf({ secrets }: Report): readonly string[] {
  return secrets.flatMap(({ diagnoses }) => diagnoses.map(({ ailment }) => ailment));
}

async function asSuperuser(sql: string): Promise<void> {
  const superuser = await (replica ?? primary).client();
  await superuser.query(sql);
  await superuser.end();
}
