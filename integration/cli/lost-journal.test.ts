import { rmSync } from "node:fs";
import { join } from "node:path";
import type pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Ports } from "../../core/ports.ts";
import { Secret } from "../../core/secret.ts";
import { setupSql } from "../../rotators/postgres/setup.ts";
import { CommandPlace } from "../command-place.ts";
import { ask, type Death, dieAt, settle, within } from "../place-work.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";
import { quicken } from "../quicken.ts";

/**
 * The journal is one file, and is lost for all secrets at once: here for many, of both types, each at another moment of its rotation. One doctor makes it
 * anew by what the store, the audit and the real database have; no credential is lost, and none comes back.
 */
const adminPassword = "canary-lost-journal-admin-5Tg2";
const quick = { cacheTtl: "100ms", atLeast: "100ms", atMost: "300ms" };
const slow = { ...quick, atLeast: "1h", atMost: "2h" };

interface Login {
  readonly username: string;
  readonly password: string;
}

interface Report {
  readonly healthy: boolean;
  readonly troubled: number;
  readonly secrets: readonly {
    readonly ref: string;
    readonly fixed: boolean;
    readonly diagnoses: readonly { readonly ailment: string; readonly what: string }[];
  }[];
}

type Arrange = (ports: Ports, ref: string) => Promise<void>;

const rotation =
  (...death: Death): Arrange =>
  async (ports, ref) => {
    await ask(ports, ref, "rotate");
    await dieAt(ports, ref, death);
  };

const emergency =
  (kind: "leak" | "cut first", ...death: Death): Arrange =>
  async (ports, ref) => {
    await ask(ports, ref, kind);
    await dieAt(ports, ref, death);
  };

/** By the moment at which the journal is lost. */
const moments: Readonly<Record<string, Arrange>> = {
  "at rest": async () => undefined,
  "before create": rotation("before", "create"),
  "after create": rotation("after", "create"),
  "before set": rotation("before", "set"),
  "after set": rotation("after", "set"),
  "before test": rotation("before", "test"),
  "after test": rotation("after", "test"),
  "before finish": rotation("before", "finish"),
  "after finish": rotation("after", "finish"),
  "before announce": rotation("before", "announce"),
  "after announce": rotation("after", "announce"),
  "in grace": async (ports, ref) => {
    await ask(ports, ref, "rotate");
    expect(await settle(ports, ref, "grace")).toMatchObject({ state: { phase: "grace" } });
  },
  "before retire": rotation("before", "retire"),
  "after retire": rotation("after", "retire"),
  "before undo": async (ports, ref) => {
    await rotation("before", "test")(ports, ref);
    await ask(ports, ref, "cancel");
    await dieAt(ports, ref, ["before", "undo"]);
  },
  "after undo": async (ports, ref) => {
    await rotation("before", "test")(ports, ref);
    await ask(ports, ref, "cancel");
    await dieAt(ports, ref, ["after", "undo"]);
  },
  "halted, with its candidate lost before it was set": async (ports, ref) => {
    await rotation("before", "set")(ports, ref);
    await loseCandidate(ports, ref);
  },
  "halted, with its candidate lost after it was set": async (ports, ref) => {
    await rotation("before", "test")(ports, ref);
    await loseCandidate(ports, ref);
  },
  "with a stranger's candidate owed": async (ports, ref) => {
    const stranger = { username: "stranger", password: "canary-lost-journal-stranger-3Mf7" };
    await ports.store.savePending(ref, "stranger", new Secret(JSON.stringify(stranger)));
    await rotation("before", "retire")(ports, ref);
    expect((await ports.journal.load(ref))?.record.debts).toHaveLength(1);
  },
  "after a leak, before create": emergency("leak", "before", "create"),
  "after a leak, after set": emergency("leak", "after", "set"),
  "after a leak, before finish": emergency("leak", "before", "finish"),
  "after a leak, after finish": emergency("leak", "after", "finish"),
  "after a leak, before retire": emergency("leak", "before", "retire"),
  "after a leak, after retire": emergency("leak", "after", "retire"),
  "cut first, and not yet cut": emergency("cut first", "before", "retire"),
  "cut first, and without a successor": emergency("cut first", "before", "create"),
};

const names = Object.keys(moments);
const kinds = ["turn", "place"];
const refOf = (kind: string, name: string): string => `${kind}/m${names.indexOf(name)}`;
const cases = kinds.flatMap((kind) => names.map((name) => [kind, name, refOf(kind, name)] as const));

/** What there was of a secret when the journal was lost. */
interface Moment {
  readonly current: Login;
  /** Whether the target accepted what agents read. */
  readonly works: boolean;
  /** What could be read besides current. */
  readonly others: readonly Login[];
  readonly leaked: Login | undefined;
}

let server: PostgresServer;
let superuser: pg.Client;
let place: CommandPlace;
const lost = new Map<string, Moment>();

beforeAll(async () => {
  server = await startPostgres({ maxConnections: 100 });
  superuser = await server.client();
  await superuser.query(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
  place = new CommandPlace(server, adminPassword);
  await place.init("first/db", "first");
  for (const [kind, name, ref] of cases) await manage(kind, name, ref);
  await within(place, async (opened) => {
    for (const [, , ref] of cases) {
      const { ports } = await opened.secret(ref);
      await ask(ports, ref, "rotate");
      await settle(ports, ref);
    }
    for (const [, name, ref] of cases) {
      const { ports } = await opened.secret(ref);
      const before = await place.current(ref);
      await moments[name]?.(ports, ref);
      lost.set(ref, await momentOf(ports, ref, /leak|cut/.test(name) ? before : undefined));
    }
  });
  for (const suffix of ["", "-wal", "-shm"])
    rmSync(join(place.directory, `.keyturn/journal.db${suffix}`), { force: true });
}, 240_000);

afterAll(async () => {
  expect(place.leaked()).toEqual([]);
  place.remove();
  await superuser.end();
  await server.stop();
});

async function manage(kind: string, name: string, ref: string): Promise<void> {
  const role = ref.replace("/", "_");
  if (kind === "turn")
    await superuser.query(setupSql({ owner: role, admin: "keyturn_admin", database: "postgres" }));
  place.manage(ref, "db-admin", kind === "turn" ? { owner: role } : { username: role, create: true });
  if (name === "in grace") quicken(place.manifestPath, ref, slow);
}

async function loseCandidate(ports: Ports, ref: string): Promise<void> {
  const pending = await ports.store.read(ref, "pending");
  await ports.store.discardPending(ref, pending?.version ?? "");
  expect(await settle(ports, ref)).toMatchObject({ state: { phase: "halted", code: "pending-lost" } });
}

async function momentOf(ports: Ports, ref: string, leaked: Login | undefined): Promise<Moment> {
  const current = await place.current(ref);
  const others: Login[] = [];
  for (const { version, stage, disabled } of await ports.store.versions(ref)) {
    if (stage === "current" || disabled) continue;
    others.push(JSON.parse((await ports.store.read(ref, { version }))?.value.reveal() ?? ""));
  }
  return { current, works: await place.logsIn(current), others, leaked };
}

test("the doctor says that the file is gone and what that means, and makes it anew for all of them", async () => {
  expect(await place.json(["doctor"], { code: 6 })).toMatchObject({
    healthy: false,
    stores: [{ damaged: [{ part: "journal.db", loses: expect.stringContaining("makes it anew") }] }],
  });
  const fixed = await place.json<Report>(["doctor", "--fix"]);
  expect(fixed).toMatchObject({ healthy: true, troubled: 0 });
  const met = fixed.secrets.filter(({ ref }) => lost.has(ref));
  expect(met).toHaveLength(cases.length);
  for (const { ref, ...secret } of met) {
    const diagnoses: readonly object[] = [
      { ailment: "journal-lost", what: expect.stringContaining("was the journal lost?") },
      ...(momentAt(ref).works ? [] : [{ ailment: "current-refused" }]),
    ];
    expect({ ref, ...secret }).toMatchObject({ ref, fixed: true, diagnoses });
  }
}, 120_000);

test("what the target accepts is what the table says: both types were met with a current that works, and with one that does not", () => {
  const refused = cases.filter(([, , ref]) => !momentAt(ref).works).map(([kind, name]) => `${kind} ${name}`);
  expect(refused).toEqual([
    "turn cut first, and without a successor",
    "place after set",
    "place before test",
    "place after test",
    "place before finish",
    "place before undo",
    "place halted, with its candidate lost after it was set",
    "place after a leak, after set",
    "place after a leak, before finish",
  ]);
});

test.each(cases)("%s: %s", async (kind, name, ref) => {
  const { current: before, works, others, leaked } = momentAt(ref);
  const current = await place.current(ref);
  expect(await place.logsIn(current)).toBe(true);
  const hasLeaked = leaked?.password === before.password;
  // What works stays; what agents cannot use is replaced by what they can; what has leaked gets a successor.
  if (works && !hasLeaked) expect(current).toEqual(before);
  if (!works && !hasLeaked) expect([before, ...others]).toContainEqual(current);
  if (leaked !== undefined) {
    expect(current.password).not.toBe(leaked.password);
    expect(await place.logsIn(leaked)).toBe(false);
  }
  // Agents that are changing over keep what they have; of one password there is one.
  if (name === "in grace") expect(await anyLogsIn(others)).toBe(kind === "turn");

  quicken(place.manifestPath, ref, quick);
  await within(place, async (opened) => {
    const { ports } = await opened.secret(ref);
    await settleAll(ports, ref);
    expect(await place.current(ref)).toEqual(current);
    const old = [before, ...others, ...(leaked === undefined ? [] : [leaked])];
    expect(await anyLogsIn(old.filter(({ password }) => password !== current.password))).toBe(false);
    expect(await ports.store.read(ref, "pending")).toBeUndefined();
    expect(await loginsAt(ref)).toEqual([current.username]);

    await ask(ports, ref, "rotate");
    await settleAll(ports, ref);
    const next = await place.current(ref);
    expect(next.password).not.toBe(current.password);
    expect(await place.logsIn(next)).toBe(true);
    expect(await anyLogsIn([...old, current])).toBe(false);
    expect(await loginsAt(ref)).toEqual([next.username]);
  });
});

test("nothing is wrong in the end, and the audit tells all of it", async () => {
  expect(await place.json<Report>(["doctor"])).toMatchObject({ healthy: true, troubled: 0 });
  expect(await place.json(["audit", "verify"])).toMatchObject({ verified: true });
}, 120_000);

function momentAt(ref: string): Moment {
  const moment = lost.get(ref);
  if (moment === undefined) throw new Error(`nothing is known of ${ref}`);
  return moment;
}

/** To its end, and to that of what is owed: nobody needs it here. */
async function settleAll(ports: Ports, ref: string): Promise<void> {
  await settle(ports, ref);
  await ask(ports, ref, "retire");
  expect(await settle(ports, ref)).toMatchObject({ state: { phase: "idle" }, debts: [] });
}

async function anyLogsIn(logins: readonly Login[]): Promise<boolean> {
  for (const login of logins) if (await place.logsIn(login)) return true;
  return false;
}

/** Whom the database lets in of what was ever made for a secret. */
async function loginsAt(ref: string): Promise<readonly string[]> {
  const role = ref.replace("/", "_");
  const { rows } = await superuser.query<{ name: string }>(
    "SELECT rolname AS name FROM pg_roles WHERE rolcanlogin AND (rolname = $1 OR starts_with(rolname, $1 || '_')) ORDER BY 1",
    [role],
  );
  return rows.map(({ name }) => name);
}
