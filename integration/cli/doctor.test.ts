import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
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
    readonly diagnoses: readonly { readonly ailment: string; readonly what: string; readonly fix?: string }[];
  }[];
}

let postgres: PostgresServer;
let superuser: pg.Client;
let place: CommandPlace;
let owners = 0;
let owner = "";

beforeAll(async () => {
  postgres = await startPostgres();
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
  owner = `patient${owners}`;
  await place.init(ref, owner);
  await place.json(["rotate", ref, "--wait"]);
  await place.current(ref);
  return () => {
    expect(place.leaked()).toEqual([]);
    place.remove();
  };
});

async function inStore<Result>(work: (store: SecretStore) => Promise<Result>): Promise<Result> {
  process.env.XDG_CONFIG_HOME = place.environment.XDG_CONFIG_HOME;
  await using opened = await openManifest(place.manifestPath);
  const { ports } = await opened.secret(ref);
  return work(ports.store);
}

const ailments = (report: Report): readonly string[] =>
  report.secrets.flatMap(({ diagnoses }) => diagnoses.map(({ ailment }) => ailment));

test("finds nothing wrong where nothing is", async () => {
  expect(await place.json<Report>(["doctor"])).toMatchObject({ healthy: true, troubled: 0 });
  const page = await place.keyturn(["doctor", ref]);
  expect(page).toMatchObject({ code: 0, stdout: "nothing is wrong\n" });
});

test.each([
  [
    "whose password was changed",
    (role: string) => `ALTER ROLE ${role} PASSWORD 'somebody-else-did'`,
    "password was changed",
  ],
  ["that was shut", (role: string) => `ALTER ROLE ${role} NOLOGIN`, "shut"],
  ["that was dropped", (role: string) => `DROP ROLE ${role}`, "dropped"],
])("a role %s gets back the value that the agents have", async (_how, statement, cause) => {
  const current = await place.current(ref);
  await superuser.query(statement(current.username));
  const told = await place.json<Report>(["doctor", ref], { code: 6 });
  expect(ailments(told)).toEqual(["current-refused"]);
  expect(told.secrets[0]?.diagnoses[0]?.what).toContain(cause);
  expect(await place.logsIn(current)).toBe(false);

  expect(await place.json<Report>(["doctor", ref, "--fix"])).toMatchObject({ healthy: true });
  expect(await place.logsIn(current)).toBe(true);
  expect((await place.current(ref)).password).toBe(current.password);
  expect(await place.json<Report>(["doctor", ref])).toMatchObject({ healthy: true });
});

test("two doctors at once mend it once", async () => {
  const current = await place.current(ref);
  await superuser.query(`ALTER ROLE ${current.username} PASSWORD 'somebody-else-did'`);
  const both = await Promise.all([1, 2].map(() => place.keyturn(["doctor", ref, "--fix", "--json"])));
  // The slower one finds the record moved, or nothing left to mend.
  for (const { code } of both) expect([0, 5, 6]).toContain(code);
  expect(both.map(({ code }) => code)).toContain(0);
  expect(await place.logsIn(current)).toBe(true);
  expect(await place.json<Report>(["doctor", ref])).toMatchObject({ healthy: true });
});

test("a candidate that somebody else has left in the store is put aside, and no rotation stumbles over it", async () => {
  const current = await place.current(ref);
  const stranger = JSON.stringify({ username: `${owner}_b`, password: "canary-doctor-stranger-2Vx8" });
  await inStore((store) => store.savePending(ref, "stranger", new Secret(stranger)));
  const told = await place.json<Report>(["doctor", ref], { code: 6 });
  expect(told.secrets[0]?.diagnoses).toMatchObject([
    { ailment: "foreign-pending", what: expect.stringContaining("stranger is pending in the store") },
  ]);

  expect(await place.json<Report>(["doctor", ref, "--fix"])).toMatchObject({ healthy: true });
  expect(await inStore((store) => store.read(ref, "pending"))).toBeUndefined();
  expect(await place.current(ref)).toEqual(current);
  expect(await place.logsIn(current)).toBe(true);
  expect(await place.json<Report>(["doctor", ref])).toMatchObject({ healthy: true });
  expect(await place.json(["rotate", ref, "--wait"])).toMatchObject({ rotated: true });
});

test("an administering login that is refused is a person's matter", async () => {
  const admins = `${owner}_admin`;
  await superuser.query(`CREATE ROLE ${admins} LOGIN PASSWORD 'not-what-is-stored'`);
  await place.json(["put", "db-admin"], {
    input: JSON.stringify({ username: admins, password: "what-was-stored-1" }),
  });
  const told = await place.json<Report>(["doctor", ref, "--fix"], { code: 6 });
  expect(ailments(told)).toContain("not-ready");
  expect(told.secrets[0]?.fixed).toBe(false);
});

test("does not touch damaged files while the service works with them, and moves them aside when it does not", async () => {
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
