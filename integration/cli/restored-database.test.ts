import { afterAll, beforeAll, expect, test } from "vitest";
import { CommandPlace } from "../command-place.ts";
import { ask, dieAt, settle, within } from "../place-work.ts";
import { backUp } from "../postgres-backup.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";
import { quicken } from "../quicken.ts";

/**
 * The database server is stopped, yesterday's files are put back, and it is started again: it has the logins and the marks of yesterday, and the
 * store and the journal are of today. Secrets of both types, each in another situation when it happens.
 */
const adminPassword = "canary-restored-admin-8Kd5";
const quick = { cacheTtl: "100ms", atLeast: "100ms", atMost: "300ms" };
const slow = { ...quick, atLeast: "1h", atMost: "2h" };
/** By what happened to them since the backup. */
const since = ["once", "grace", "leaked", "set", "untouched"];
const kinds = ["turn", "place"];

interface Login {
  readonly username: string;
  readonly password: string;
}

interface Diagnosis {
  readonly ailment: string;
  readonly what: string;
  readonly fix?: string;
  readonly advice: string;
}

interface Report {
  readonly healthy: boolean;
  readonly secrets: readonly { readonly fixed: boolean; readonly diagnoses: readonly Diagnosis[] }[];
}

let server: PostgresServer;
let place: CommandPlace;
/** What was current when the backup was taken. */
const yesterday = new Map<string, Login>();
/** What was current when it was put back, and what was about to be. */
const today = new Map<string, Login>();
const candidates = new Map<string, Login>();

beforeAll(async () => {
  server = await startPostgres();
  place = new CommandPlace(server, adminPassword);
  await asSuperuser(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
  for (const name of since) await add(name);
  for (const ref of all(since)) yesterday.set(ref, await place.current(ref));

  const backup = await backUp(server);
  await add("new");
  await rotate(all(["once"]));
  await within(place, async (opened) => {
    for (const ref of all(["leaked"])) {
      const { ports } = await opened.secret(ref);
      await ask(ports, ref, "leak");
      await settle(ports, ref);
    }
    for (const ref of all(["set"])) {
      const { ports } = await opened.secret(ref);
      await ask(ports, ref, "rotate");
      await dieAt(ports, ref, ["before", "test"]);
      candidates.set(ref, JSON.parse((await ports.store.read(ref, "pending"))?.value.reveal() ?? ""));
    }
  });
  for (const ref of all(["grace"])) {
    quicken(place.manifestPath, ref, slow);
    expect(await place.json(["rotate", ref])).toMatchObject({ phase: "grace" });
  }
  for (const ref of all([...since, "new"])) today.set(ref, await place.current(ref));

  await backup.restore();
}, 180_000);

afterAll(async () => {
  expect(place.leaked()).toEqual([]);
  place.remove();
  await server.stop();
});

const all = (names: readonly string[]): readonly string[] =>
  kinds.flatMap((kind) => names.map((name) => `${kind}/${name}`));

async function add(name: string): Promise<void> {
  await place.init(`turn/${name}`, `turn_${name}`);
  place.manage(`place/${name}`, "db-admin", { username: `place_${name}`, create: true });
  await rotate(all([name]));
}

async function rotate(refs: readonly string[]): Promise<void> {
  await within(place, async (opened) => {
    for (const ref of refs) {
      const { ports } = await opened.secret(ref);
      await ask(ports, ref, "rotate");
      await settle(ports, ref);
    }
  });
}

async function asSuperuser(sql: string): Promise<void> {
  const superuser = await server.client();
  await superuser.query(sql);
  await superuser.end();
}

const refusedHere = {
  ailment: "current-refused",
  what: expect.stringContaining("was the target restored from a backup"),
};
const revivedHere = { ailment: "revived", what: expect.stringContaining("the target lets in turn_") };

test.each([
  // Of two logins the other one lets in what was retired since, too.
  ["turn/once", "was rotated", [refusedHere, revivedHere]],
  ["place/once", "was rotated", [refusedHere]],
  ["turn/grace", "was rotated, and whose agents were still changing over,", [refusedHere]],
  ["place/grace", "was rotated, and whose agents were still changing over,", [refusedHere]],
])("%s, which %s since: the target is made to accept what the agents have", async (ref, _, diagnoses) => {
  const [old, current] = [loginOf(yesterday, ref), loginOf(today, ref)];
  expect([await place.logsIn(old), await place.logsIn(current)]).toEqual([true, false]);
  await expectFixed(ref, diagnoses);
  // While agents change over, both of two logins are theirs; of one password there is one.
  if (ref.endsWith("grace")) expect(await place.logsIn(old)).toBe(ref.startsWith("turn"));
});

test.each([
  [
    "turn/leaked",
    [{ ...refusedHere }, { ...revivedHere, what: expect.stringContaining("which has leaked") }],
  ],
  ["place/leaked", [{ ...refusedHere, what: expect.stringContaining("a value that has leaked") }]],
])("%s, whose leaked value was cut off since: it is cut off again at once", async (ref, diagnoses) => {
  const [leaked, current] = [loginOf(yesterday, ref), loginOf(today, ref)];
  expect([await place.logsIn(leaked), await place.logsIn(current)]).toEqual([true, false]);
  await expectFixed(ref, diagnoses);
  expect(await place.logsIn(leaked)).toBe(false);
});

test.each(all(["set"]))("%s, whose rotation had set a candidate since: it is taken back", async (ref) => {
  const current = loginOf(today, ref);
  expect([await place.logsIn(current), await place.logsIn(loginOf(candidates, ref))]).toEqual([true, false]);
  expect(await place.json<Report>(["doctor", ref, "--fix"])).toMatchObject({ healthy: true });
  expect(await place.current(ref)).toEqual(current);
  expect(await place.logsIn(current)).toBe(true);
});

test.each(all(["untouched"]))("%s, with which nothing was done since: nothing is wrong", async (ref) => {
  expect(await place.logsIn(loginOf(yesterday, ref))).toBe(true);
  expect(await place.json<Report>(["doctor", ref, "--fix"])).toMatchObject({
    healthy: true,
    secrets: [{ diagnoses: [], fixed: false }],
  });
});

const gone = {
  ailment: "current-refused",
  what: expect.stringContaining("its login is not there, or bears no mark"),
};

test("place/new, whose role was made since: it is made again, with the value that the agents have", async () => {
  expect(await place.logsIn(loginOf(today, "place/new"))).toBe(false);
  await expectFixed("place/new", [gone]);
});

test("turn/new, whose owner role was made since: a person is told what to run, and then it is mended", async () => {
  const ref = "turn/new";
  const advice = expect.stringContaining("`keyturn init` prints the SQL");
  const missing = [
    { ailment: "not-ready", what: expect.stringContaining("the owner role turn_new does not exist"), advice },
    { ailment: "not-ready", what: expect.stringContaining("lacks the ADMIN option on turn_new"), advice },
  ];
  // Nothing is tried in vain: first a person, then the repair.
  const first = {
    ...gone,
    advice: expect.stringContaining("mend first what is not ready; then run it with --fix"),
  };
  for (const command of [
    ["doctor", ref],
    ["doctor", ref, "--fix"],
  ]) {
    expect(await place.json<Report>(command, { code: 6 })).toMatchObject({
      healthy: false,
      secrets: [{ fixed: false, diagnoses: [first, ...missing] }],
    });
  }

  // As it says; the entry and the store stay as they are.
  await place.init(ref, "turn_new");
  await expectFixed(ref, [gone]);
});

test("in the end each secret has one value that works, rotates like any other, and what was published before is refused", async () => {
  await within(place, async (opened) => {
    for (const ref of all([...since, "new"])) {
      const { ports } = await opened.secret(ref);
      // What agents are changing over from is owed when its long grace is over; nobody needs it here.
      for (const _ of ref.endsWith("grace") ? ["the grace", "the debt"] : []) {
        await ask(ports, ref, "retire");
        await settle(ports, ref);
      }
      expect(await settle(ports, ref)).toMatchObject({ state: { phase: "idle" }, debts: [] });
      expect(await place.current(ref)).toEqual(loginOf(today, ref));
      expect(await place.logsIn(loginOf(today, ref))).toBe(true);
    }
  });
  expect(await lettingIn([yesterday, candidates])).toEqual(all(["set", "untouched"]).toSorted());
  for (const ref of all(["grace"])) quicken(place.manifestPath, ref, quick);
  await rotate(all([...since, "new"]));
  expect(await lettingIn([yesterday, candidates, today])).toEqual([]);
  for (const ref of all([...since, "new"])) expect(await place.logsIn(await place.current(ref))).toBe(true);
  expect(await place.json<Report>(["doctor"])).toMatchObject({ healthy: true, troubled: 0 });
  expect(await place.json(["audit", "verify"])).toMatchObject({ verified: true });
});

/** The doctor says that, mends it, and finds nothing any more; the agents' value works, and is the one that it was. */
async function expectFixed(ref: string, diagnoses: readonly object[]): Promise<void> {
  const current = loginOf(today, ref);
  const told = await place.json<Report>(["doctor", ref], { code: 6 });
  expect(told.secrets).toMatchObject([{ fixed: false, diagnoses }]);
  expect(told.secrets[0]?.diagnoses).toHaveLength(diagnoses.length);
  expect(await place.json<Report>(["doctor", ref, "--fix"])).toMatchObject({
    healthy: true,
    secrets: [{ fixed: true }],
  });
  expect(await place.current(ref)).toEqual(current);
  expect(await place.logsIn(current)).toBe(true);
  expect(await place.json<Report>(["doctor", ref])).toMatchObject({ healthy: true });
}

/** The secrets of which one of these values lets in. */
async function lettingIn(known: readonly ReadonlyMap<string, Login>[]): Promise<readonly string[]> {
  const found = new Set<string>();
  for (const [ref, login] of known.flatMap((logins) => [...logins])) {
    if (await place.logsIn(login)) found.add(ref);
  }
  return [...found].sort();
}

function loginOf(known: ReadonlyMap<string, Login>, ref: string): Login {
  const login = known.get(ref);
  if (login === undefined) throw new Error(`nothing is known of ${ref}`);
  return login;
}
