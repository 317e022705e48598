import {
  copyFileSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type pg from "pg";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { CommandPlace } from "../command-place.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";

/** A file of the store that was cut in half, or has a bit turned over: what the command says, what it mends, and what it leaves alone. */
const ref = "billing/db";
const adminPassword = "canary-damaged-admin-4Xp1";

// Each of them runs many commands.
vi.setConfig({ testTimeout: 180_000 });

let postgres: PostgresServer;
let superuser: pg.Client;
let place: CommandPlace;

beforeAll(async () => {
  postgres = await startPostgres();
  superuser = await postgres.client();
  await superuser.query(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
  place = new CommandPlace(postgres, adminPassword);
  await place.init(ref, "damaged");
  await place.json(["rotate", ref, "--wait"]);
});

afterAll(async () => {
  place.remove();
  await superuser.end();
  await postgres.stop();
});

afterEach(() => {
  expect(place.leaked()).toEqual([]);
});

const pathOf = (name: string): string => join(place.directory, ".keyturn", name);

/** Damages a file at rest: nothing of it waits in a log beside it. */
function damage(name: string, how: (path: string, bytes: Buffer) => void): void {
  for (const suffix of ["-wal", "-shm"]) rmSync(pathOf(`${name}${suffix}`), { force: true });
  how(pathOf(name), readFileSync(pathOf(name)));
}

const half = (path: string, bytes: Buffer): void => truncateSync(path, bytes.length / 2);
/** In the record itself, so that it is no JSON any more, or in the value of an entry. */
const bit = (word: string) => (path: string, bytes: Buffer) => {
  const at = bytes.lastIndexOf(word);
  expect(at).toBeGreaterThan(0);
  bytes[at] = (bytes[at] ?? 0) ^ 4;
  writeFileSync(path, bytes);
};

const others = (name: string) =>
  Object.fromEntries(
    readdirSync(pathOf("."))
      .filter((file) => file.endsWith(".db") && file !== name)
      .map((file) => [file, readFileSync(pathOf(file)).toString("base64")]),
  );

test("half of the secrets is no secrets: every command says so, none damages more, and a backup brings all back", async () => {
  const before = await place.current(ref);
  copyFileSync(pathOf("secrets.db"), join(place.directory, "backup"));
  damage("secrets.db", half);
  const rest = others("secrets.db");
  for (const args of [["doctor"], ["doctor", "--fix"], ["rotate", ref], ["status"], ["audit", "verify"]]) {
    const { code, stdout, stderr } = await place.keyturn(args);
    expect({ args, code: [0, 1].includes(code ?? 1), said: stdout + stderr }).toMatchObject({
      args,
      code: false,
      said: expect.stringMatching(/data-broken: .*secrets\.db[\s\S]*Restore the file named from a backup/),
    });
  }
  expect(others("secrets.db")).toEqual(rest);
  expect(await place.logsIn(before)).toBe(true);

  damage("secrets.db", (path) => copyFileSync(join(place.directory, "backup"), path));
  expect(await place.json(["doctor"])).toMatchObject({ healthy: true });
  expect(await place.json(["rotate", ref, "--wait"])).toMatchObject({ rotated: true });
});

test("half of the journal: the doctor says so, makes it anew, and the next rotation goes on", async () => {
  const before = await place.current(ref);
  damage("journal.db", half);
  expect(await place.json(["doctor"], { code: 6 })).toMatchObject({
    healthy: false,
    stores: [{ damaged: [{ part: "journal.db" }] }],
  });
  await expectMended(before);
});

test("a bit of a record: the doctor says what to do, and nothing is done before", async () => {
  const before = await place.current(ref);
  damage("journal.db", bit('{"schema"'));
  const told = { secrets: [{ diagnoses: [{ ailment: "record-unreadable" }], fixed: false }] };
  expect(await place.json(["doctor", "--fix"], { code: 6 })).toMatchObject(told);
  expect((await place.keyturn(["rotate", ref])).stderr).toMatch(/^data-broken: .*journal\.db/m);
  // As the doctor advises.
  damage("journal.db", (path) => renameSync(path, `${path}.aside`));
  await expectMended(before);
});

test("a bit of a fingerprint: it alone is dropped, and its value is remembered again, so that a leak of it is found", async () => {
  const before = await place.current(ref);
  const saved = journalRows();
  damage("journal.db", (path) => {
    using file = new DatabaseSync(path);
    file.exec("UPDATE fingerprints SET field = 'passwore'");
  });
  expect(await place.json(["doctor"], { code: 6 })).toMatchObject({
    stores: [{ damaged: [{ part: "fingerprints in journal.db" }] }],
    secrets: [{ diagnoses: [] }],
  });
  expect(await place.json(["doctor", "--fix"])).toMatchObject({ healthy: true, stores: [{ keptAside: [] }] });
  expect(await place.json(["doctor"])).toMatchObject({ healthy: true });
  expect(journalRows().record).toEqual(saved.record);
  expect(journalRows().fingerprints.length).toBeGreaterThan(0);
  expect(saved.fingerprints).toEqual(expect.arrayContaining(journalRows().fingerprints));

  const leaked = await place.keyturn(["revoke", "--leaked", "--json"], `it says ${before.password} here\n`);
  expect(leaked).toMatchObject({ code: 0, stdout: expect.stringContaining(ref) });
  expect(await place.logsIn(before)).toBe(false);
  expect(await place.logsIn(await place.current(ref))).toBe(true);
});

/** The record of the secret as it is saved, and what is remembered of its values. */
function journalRows() {
  using file = new DatabaseSync(pathOf("journal.db"));
  const rows = (sql: string) => file.prepare(sql).all();
  return { record: rows("SELECT * FROM records"), fingerprints: rows("SELECT * FROM fingerprints") };
}

/** By the doctor, without another value anywhere. */
async function expectMended(before: { username: string; password: string }): Promise<void> {
  await place.keyturn(["doctor", "--fix"]);
  expect(await place.json(["doctor"])).toMatchObject({ healthy: true });
  expect((await place.current(ref)).password).toBe(before.password);
  expect(await place.logsIn(before)).toBe(true);
  expect(await place.json(["rotate", ref, "--wait"])).toMatchObject({ rotated: true });
}

test("a bit of the audit: the verification and the doctor say so, and rotations go on", async () => {
  const [name = ""] = readdirSync(pathOf("audit"), { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".jsonl"),
  );
  damage(`audit/${name}`, bit("set.done"));
  expect((await place.keyturn(["audit", "verify"])).code).toBe(6);
  expect(await place.json(["doctor"], { code: 6 })).toMatchObject({ healthy: false });
  expect(await place.json(["rotate", ref, "--wait"])).toMatchObject({ rotated: true });
  expect(await place.logsIn(await place.current(ref))).toBe(true);
});
