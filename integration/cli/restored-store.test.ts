import { copyFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CommandPlace } from "../command-place.ts";
import { ask, dieAt, settle, within } from "../place-work.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";

/**
 * The file of the secrets is put back as it was yesterday, while the journal and the database are of today: what is current at the database, nobody can
 * read any more. Secrets of both types, each in another situation when it happens.
 */
const adminPassword = "canary-restored-store-admin-2Nc6";
const since = ["once", "twice", "leaked", "set", "untouched"];
const all = (names: readonly string[]): readonly string[] =>
  ["turn", "place"].flatMap((kind) => names.map((name) => `${kind}/${name}`));

interface Login {
  readonly username: string;
  readonly password: string;
}

interface Report {
  readonly healthy: boolean;
  readonly secrets: readonly { readonly fixed: boolean; readonly diagnoses: readonly object[] }[];
}

let server: PostgresServer;
let place: CommandPlace;
const yesterday = new Map<string, Login>();
const today = new Map<string, Login>();

beforeAll(async () => {
  server = await startPostgres();
  place = new CommandPlace(server, adminPassword);
  const superuser = await server.client();
  await superuser.query(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
  await superuser.end();
  for (const name of since) {
    await place.init(`turn/${name}`, `turn_${name}`);
    place.manage(`place/${name}`, "db-admin", { username: `place_${name}`, create: true });
  }
  await work("rotate", all(since));
  for (const ref of all(since)) yesterday.set(ref, await place.current(ref));

  const [file, kept] = [join(place.directory, ".keyturn/secrets.db"), join(place.directory, "yesterday.db")];
  copyStore(file, kept);
  await work("rotate", all(["once", "twice"]));
  await work("rotate", all(["twice"]));
  await work("leak", all(["leaked"]));
  await within(place, async (opened) => {
    for (const ref of all(["set"])) {
      const { ports } = await opened.secret(ref);
      await ask(ports, ref, "rotate");
      await dieAt(ports, ref, ["before", "test"]);
    }
  });
  for (const ref of all(since)) today.set(ref, await place.current(ref));
  for (const suffix of ["", "-wal", "-shm"]) rmSync(`${file}${suffix}`, { force: true });
  copyFileSync(kept, file);
}, 180_000);

afterAll(async () => {
  expect(place.leaked()).toEqual([]);
  place.remove();
  await server.stop();
});

/** As a backup does it, whoever is at work: whole, whatever is in other files of the database. */
function copyStore(from: string, to: string): void {
  const database = new DatabaseSync(from, { readOnly: true });
  database.prepare("VACUUM INTO ?").run(to);
  database.close();
}

async function work(kind: "rotate" | "leak" | "settle", refs: readonly string[]): Promise<void> {
  await within(place, async (opened) => {
    for (const ref of refs) {
      const { ports } = await opened.secret(ref);
      if (kind !== "settle") await ask(ports, ref, kind);
      await settle(ports, ref);
    }
  });
}

/** Whoever works on it finds out, and calls a person. */
async function expectHalted(ref: string): Promise<void> {
  await work("settle", [ref]);
  expect(await place.json(["status", ref], { code: 7 })).toMatchObject({ phase: "halted" });
}

function loginOf(known: ReadonlyMap<string, Login>, ref: string): Login {
  const login = known.get(ref);
  if (login === undefined) throw new Error(`nothing is known of ${ref}`);
  return login;
}

const behind = {
  ailment: "store-behind",
  what: expect.stringContaining("was the store restored from a backup?"),
  fix: "makes a new one at once",
};

test.each(all(["once", "twice", "leaked"]))(
  "%s, whose current is gone from the store, gets a successor",
  async (ref) => {
    const [old, lost] = [loginOf(yesterday, ref), loginOf(today, ref)];
    expect(await place.current(ref)).toEqual(old);
    // Agents that read now get what is refused.
    expect([await place.logsIn(old), await place.logsIn(lost)]).toEqual([false, true]);
    const told = await place.json<Report>(["doctor", ref], { code: 6 });
    expect(told.secrets[0]?.diagnoses[0]).toMatchObject(behind);
    expect(await place.json<Report>(["doctor", ref, "--fix"])).toMatchObject({
      healthy: true,
      secrets: [{ fixed: true }],
    });
    const current = await place.current(ref);
    expect([old.password, lost.password]).not.toContain(current.password);
    expect(await place.logsIn(current)).toBe(true);
    expect([await place.logsIn(old), await place.logsIn(lost)]).toEqual([false, false]);
    expect(await place.json<Report>(["doctor", ref])).toMatchObject({ healthy: true });
  },
);

test("turn/set, whose candidate is gone from the store: current goes on, and a person takes the rotation back", async () => {
  const ref = "turn/set";
  const current = loginOf(yesterday, ref);
  await expectHalted(ref);
  expect(await place.logsIn(current)).toBe(true);
  const told = await place.json<Report>(["doctor", ref], { code: 6 });
  expect(told.secrets[0]?.diagnoses).toMatchObject([
    { ailment: "halted", advice: expect.stringContaining(`\`keyturn cancel --insist ${ref}\``) },
  ]);
  await place.json(["cancel", "--insist", ref]);
  await work("settle", [ref]);
  expect(await place.current(ref)).toEqual(current);
  expect(await place.logsIn(current)).toBe(true);
  // What was set nobody can read any more, and so nobody can prove that it is refused; its login is named, and shut.
  const left = await place.json<Report>(["doctor", ref], { code: 6 });
  expect(left.secrets[0]?.diagnoses).toMatchObject([
    { ailment: "revived", what: expect.stringContaining("the target lets in turn_set_b") },
  ]);
  expect(await place.json<Report>(["doctor", ref, "--fix"])).toMatchObject({ healthy: true });
  expect(await place.json<Report>(["doctor", ref])).toMatchObject({ healthy: true });
});

test("place/set, whose candidate is gone from the store when it was set: the value that the agents have is set again", async () => {
  const ref = "place/set";
  const current = loginOf(yesterday, ref);
  expect(await place.logsIn(current)).toBe(false);
  expect((await place.json<Report>(["doctor", ref], { code: 6 })).secrets[0]?.diagnoses).toMatchObject([
    { ailment: "current-refused", fix: "makes the target accept the same value again" },
  ]);
  await expectHalted(ref);
  const told = await place.json<Report>(["doctor", ref, "--fix"], { code: 6 });
  expect(told.secrets).toMatchObject([
    { fixed: true, diagnoses: [{ ailment: "current-refused" }, { ailment: "halted" }] },
  ]);
  expect(await place.current(ref)).toMatchObject({ password: current.password });
  expect(await place.logsIn(current)).toBe(true);
  expect(await place.json<Report>(["doctor", ref])).toMatchObject({ healthy: true });
});

test.each(all(["untouched"]))("%s, with which nothing was done since: nothing is wrong", async (ref) => {
  expect(await place.json<Report>(["doctor", ref, "--fix"])).toMatchObject({
    healthy: true,
    secrets: [{ diagnoses: [], fixed: false }],
  });
});

test("in the end each has one value that works, and all others are refused", async () => {
  await work("rotate", all(since));
  for (const ref of all(since)) {
    const worked = [loginOf(yesterday, ref), loginOf(today, ref)];
    for (const login of worked) expect([ref, await place.logsIn(login)]).toEqual([ref, false]);
    expect([ref, await place.logsIn(await place.current(ref))]).toEqual([ref, true]);
  }
  expect(await place.json<Report>(["doctor"])).toMatchObject({ healthy: true });
  expect(await place.json(["audit", "verify"])).toMatchObject({ verified: true });
}, 120_000);
