import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { openManifest } from "../../cli/open.ts";
import type { SecretStore } from "../../core/ports.ts";
import { Secret } from "../../core/secret.ts";
import { CommandPlace } from "../command-place.ts";
import { startKeyturn } from "../keyturn-command.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";

/**
 * The doctor on a real PostgreSQL, as a person calls it. What it makes of a store or a database that was restored, and of a replica that was promoted, tests
 * of their own show.
 */
const ref = "billing/db";
const adminPassword = "canary-doctor-admin-9Wb3";

// Each of them runs several commands.
vi.setConfig({ testTimeout: 180_000 });

interface Diagnosis {
  readonly ailment: string;
  readonly what: string;
  readonly fix?: string;
  readonly advice: string;
}

interface Report {
  readonly healthy: boolean;
  readonly troubled: number;
  readonly stores: readonly {
    readonly served: boolean;
    readonly damaged: readonly { readonly part: string }[];
  }[];
  readonly secrets: readonly {
    readonly ref: string;
    readonly fixed: boolean;
    readonly diagnoses: readonly Diagnosis[];
  }[];
}

let postgres: PostgresServer;
let superuser: pg.Client;
let place: CommandPlace;
let patients = 0;
let patient = "";

beforeAll(async () => {
  postgres = await startPostgres();
  superuser = await postgres.client();
  await superuser.query(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
});

afterAll(async () => {
  await superuser.end();
  await postgres.stop();
});

beforeEach(() => {
  place = new CommandPlace(postgres, adminPassword);
  patients += 1;
  patient = `patient${patients}`;
  return () => {
    expect(place.leaked()).toEqual([]);
    place.remove();
  };
});

const dropped = "its login is not there, or bears no mark: was it dropped?";
const shut = "its login was shut behind Keyturn's back";
const refusedFor = (cause: string): Diagnosis => ({
  ailment: "current-refused",
  what: `the target refuses current: ${cause}`,
  fix: "makes the target accept the same value again",
  advice:
    "If nobody of yours did this, somebody else has access to the target: revoke it instead. Otherwise run it with --fix.",
});
/** What keeps a rotation from beginning keeps the value from being brought back, too. */
const refusedUntil = (cause: string, notReady: Omit<Diagnosis, "fix">): readonly Omit<Diagnosis, "fix">[] => {
  const { fix: _fix, ...refused } = refusedFor(cause);
  const advice =
    "If nobody of yours did this, somebody else has access to the target: revoke it instead. Otherwise mend first what is not ready; then run it with --fix.";
  return [{ ...refused, advice }, notReady];
};

async function initPassword(): Promise<void> {
  await place.init("another/db", `${patient}_owner`);
  place.manage(ref, "db-admin", { username: patient, create: true });
}

const types: readonly {
  readonly type: string;
  /** Puts the secret under Keyturn. */
  init(): Promise<void>;
  /** What a stranger's candidate is of. */
  stranger(): string;
  /** A login that was shut. Of two a rotation opens the one that it is about to use; the one that there is stays as somebody has made it. */
  ofShut(): { readonly told: readonly Omit<Diagnosis, "fix">[]; readonly opens: boolean };
}[] = [
  {
    type: "postgres-alternating",
    init: () => place.init(ref, patient),
    stranger: () => `${patient}_b`,
    ofShut: () => ({ told: [refusedFor(shut)], opens: true }),
  },
  {
    type: "postgres-password",
    init: initPassword,
    stranger: () => patient,
    ofShut: () => {
      const why = `role ${patient}: may not log in: it is NOLOGIN`;
      const notReady = {
        ailment: "not-ready",
        what: why,
        advice:
          "Look who else changes this credential at the target. The next rotation is refused until then.",
      };
      return { told: refusedUntil(shut, notReady), opens: false };
    },
  },
];

async function inStore<Result>(work: (store: SecretStore) => Promise<Result>): Promise<Result> {
  process.env.XDG_CONFIG_HOME = place.environment.XDG_CONFIG_HOME;
  await using opened = await openManifest(place.manifestPath);
  const { ports } = await opened.secret(ref);
  return work(ports.store);
}

const diagnoses = (report: Report): readonly Diagnosis[] =>
  report.secrets.flatMap(({ diagnoses: found }) => found);
/** The agents have what they had, the doctor finds nothing, and the next rotation ends as ever. */
async function expectWell(before: { username: string; password: string }): Promise<void> {
  expect(await place.logsIn(before)).toBe(true);
  expect((await place.current(ref)).password).toBe(before.password);
  expect(await place.json<Report>(["doctor", ref])).toMatchObject({ healthy: true });
  expect(await place.json(["rotate", ref, "--wait"])).toMatchObject({ rotated: true });
  const after = await place.current(ref);
  expect([await place.logsIn(before), await place.logsIn(after)]).toEqual([false, true]);
}

describe.each(types)("of $type", ({ init, stranger, ofShut }) => {
  beforeEach(async () => {
    await init();
    await place.json(["rotate", ref, "--wait"]);
    await place.current(ref);
  });

  test("finds nothing wrong where nothing is", async () => {
    expect(await place.json<Report>(["doctor", ref])).toMatchObject({ healthy: true, troubled: 0 });
    const page = await place.keyturn(["doctor", ref]);
    expect(page).toMatchObject({ code: 0, stdout: "nothing is wrong\n" });
  });

  test.each([
    [
      "whose password was changed",
      (role: string) => `ALTER ROLE ${role} PASSWORD 'somebody-else-did'`,
      "its password was changed behind Keyturn's back",
    ],
    ["that was dropped", (role: string) => `DROP ROLE ${role}`, dropped],
  ])("a role %s gets back the value that the agents have", async (_how, statement, cause) => {
    const current = await place.current(ref);
    await superuser.query(statement(current.username));
    const told = await place.json<Report>(["doctor", ref], { code: 6 });
    expect(diagnoses(told)).toEqual([refusedFor(cause)]);
    expect(await place.logsIn(current)).toBe(false);

    expect(await place.json<Report>(["doctor", ref, "--fix"])).toMatchObject({ healthy: true });
    await expectWell(current);
  });

  test("a role that was shut is opened, or it is said what keeps it from being opened", async () => {
    const current = await place.current(ref);
    const { told, opens } = ofShut();
    await superuser.query(`ALTER ROLE ${current.username} NOLOGIN`);
    expect(diagnoses(await place.json<Report>(["doctor", ref], { code: 6 }))).toEqual(told);
    expect(await place.logsIn(current)).toBe(false);

    if (!opens) {
      // Nothing is tried that cannot be.
      expect(diagnoses(await place.json<Report>(["doctor", ref, "--fix"], { code: 6 }))).toEqual(told);
      expect(await place.logsIn(current)).toBe(false);
      // The cause that was named.
      await superuser.query(`ALTER ROLE ${current.username} LOGIN`);
    }
    expect(await place.json<Report>(["doctor", ref, "--fix"])).toMatchObject({ healthy: true });
    await expectWell(current);
  });

  test("a candidate that somebody else has left in the store is put aside, and no rotation stumbles over it", async () => {
    const current = await place.current(ref);
    const value = JSON.stringify({ username: stranger(), password: "canary-doctor-stranger-2Vx8" });
    await inStore((store) => store.savePending(ref, "stranger", new Secret(value)));
    const told = await place.json<Report>(["doctor", ref], { code: 6 });
    expect(diagnoses(told)).toEqual([
      {
        ailment: "foreign-pending",
        what: "stranger is pending in the store, and no rotation of this journal has saved it",
        fix: "owes it, and takes it away once the target is proven to refuse it",
        advice: "Run it with --fix, or rotate: the next rotation does the same.",
      },
    ]);

    expect(await place.json<Report>(["doctor", ref, "--fix"])).toMatchObject({ healthy: true });
    expect(await inStore((store) => store.read(ref, "pending"))).toBeUndefined();
    expect(await place.current(ref)).toEqual(current);
    expect(await place.logsIn(current)).toBe(true);
    expect(await place.json<Report>(["doctor", ref])).toMatchObject({ healthy: true });
    expect(await place.json(["rotate", ref, "--wait"])).toMatchObject({ rotated: true });
  });

  test("an administering login that is refused is a person's matter", async () => {
    const admins = `${patient}_admin`;
    await superuser.query(`CREATE ROLE ${admins} LOGIN PASSWORD 'not-what-is-stored'`);
    await place.json(["put", "db-admin"], {
      input: JSON.stringify({ username: admins, password: "what-was-stored-1" }),
    });
    const told = await place.json<Report>(["doctor", ref, "--fix"], { code: 6 });
    const why = `localhost:${postgres.port}: password authentication failed for user "${admins}"`;
    const advice = "Give the right administering login; `keyturn put` stores it.";
    expect(diagnoses(told)).toEqual([
      {
        ailment: "not-ready",
        what: `connection: ${why}`,
        advice: `${advice} The next rotation is refused until then.`,
      },
      { ailment: "unreachable", what: `the target cannot be asked: admin-refused: ${why}`, advice },
    ]);
    expect(told.secrets[0]?.fixed).toBe(false);

    await place.json(["put", "db-admin"], {
      input: JSON.stringify({ username: "keyturn_admin", password: adminPassword }),
    });
    expect(await place.json<Report>(["doctor", ref])).toMatchObject({ healthy: true });
  });
});

test("two doctors at once mend it once", async () => {
  await place.init(ref, patient);
  await place.json(["rotate", ref, "--wait"]);
  const current = await place.current(ref);
  await superuser.query(`ALTER ROLE ${current.username} PASSWORD 'somebody-else-did'`);
  const both = await Promise.all([1, 2].map(() => place.keyturn(["doctor", ref, "--fix", "--json"])));
  // The slower one finds the record moved, or nothing left to mend.
  for (const { code } of both) expect([0, 5, 6]).toContain(code);
  expect(both.map(({ code }) => code)).toContain(0);
  expect(await place.logsIn(current)).toBe(true);
  expect(await place.json<Report>(["doctor", ref])).toMatchObject({ healthy: true });
});

test("a dropped role that Keyturn may not make is a person's matter, who may let it", async () => {
  await initPassword();
  await place.json(["rotate", ref, "--wait"]);
  const current = await place.current(ref);
  place.manage(ref, "db-admin", { username: patient });
  await superuser.query(`DROP ROLE ${patient}`);
  const why = `role ${patient}: does not exist: make it, or have it made by \`create: true\``;
  const notReady = {
    ailment: "not-ready",
    what: why,
    advice: "Correct the field named in the manifest. The next rotation is refused until then.",
  };
  const told = refusedUntil(dropped, notReady);
  for (const words of [
    ["doctor", ref],
    ["doctor", ref, "--fix"],
  ]) {
    expect(diagnoses(await place.json<Report>(words, { code: 6 }))).toEqual(told);
  }

  place.manage(ref, "db-admin", { username: patient, create: true });
  expect(await place.json<Report>(["doctor", ref, "--fix"])).toMatchObject({ healthy: true });
  await expectWell(current);
});

test("does not touch damaged files while the service works with them, and moves them aside when it does not", async () => {
  await place.init(ref, patient);
  await place.json(["rotate", ref, "--wait"]);
  const { environment, directory } = place;
  const service = startKeyturn(["serve"], { environment, directory });
  try {
    await expect
      .poll(async () => (await place.json<Report>(["doctor"])).stores[0]?.served, { timeout: 20_000 })
      .toBe(true);
    rmSync(join(directory, ".keyturn/tokens.db"));
    const refused = await place.keyturn(["doctor", "--fix"]);
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain("stop `keyturn serve` first");
  } finally {
    service.child.kill("SIGTERM");
    await service.ended;
  }
  writeFileSync(join(directory, ".keyturn/events.db"), "no database ".repeat(500));
  for (const suffix of ["-wal", "-shm"])
    rmSync(join(directory, `.keyturn/events.db${suffix}`), { force: true });
  const told = await place.json<Report>(["doctor"], { code: 6 });
  expect(told.stores[0]?.damaged.map(({ part }) => part)).toEqual(["events.db", "tokens.db"]);
  expect(await place.json<Report>(["doctor", "--fix"])).toMatchObject({ healthy: true });
  expect(await place.json<Report>(["rotate", ref, "--wait"])).toMatchObject({ rotated: true });
});
