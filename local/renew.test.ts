import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Secret } from "../core/secret.ts";
import { type LocalStore, openLocal } from "./open.ts";
import { damagedParts, renewParts } from "./renew.ts";

let folder: string;
let path: string;
const open = (create = false): Promise<LocalStore> =>
  openLocal({ path, key: join(folder, "key"), create, environment: {} });

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "keyturn-"));
  path = join(folder, "store");
  const local = await open(true);
  await local.store.savePending("a", "v1", new Secret('{"password":"one"}'));
  await local.store.promote("a", "v1", undefined);
  await local.close();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("nothing is said of a whole store, and nothing of it is moved", async () => {
  const before = readdirSync(path).sort();
  expect(await damagedParts(path)).toEqual([]);
  expect(await renewParts(path, 0)).toEqual([]);
  expect(readdirSync(path).sort()).toEqual(before);
});

test("nothing is said of a folder that is no store", async () => {
  expect(await damagedParts(join(folder, "elsewhere"))).toEqual([]);
});

test.each(["journal.db", "events.db", "audit.db", "tokens.db"])(
  "%s that was lost is made anew, and the secrets stay",
  async (name) => {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(join(path, `${name}${suffix}`), { force: true });
    expect((await damagedParts(path)).map((part) => part.name)).toEqual([name]);
    expect(await renewParts(path, 0)).toEqual([]);
    expect(await damagedParts(path)).toEqual([]);
    await using _closing = await usable();
  },
);

test.each(["journal.db", "events.db", "tokens.db"])(
  "%s that is damaged is kept aside as it is, and made anew",
  async (name) => {
    for (const suffix of ["-wal", "-shm"]) rmSync(join(path, `${name}${suffix}`), { force: true });
    writeFileSync(join(path, name), "this is not a database at all ".repeat(200));
    const damaged = readFileSync(join(path, name));
    expect((await damagedParts(path)).map((part) => part.name)).toEqual([name]);
    const [aside] = await renewParts(path, Date.UTC(2026, 0, 2));
    expect(aside).toBe(`${name}.damaged-2026-01-02T000000.000Z`);
    expect(readFileSync(join(path, aside ?? "")).equals(damaged)).toBe(true);
    await using _closing = await usable();
  },
);

test("several at once, one of them cut in half", async () => {
  for (const suffix of ["-wal", "-shm"]) rmSync(join(path, `journal.db${suffix}`), { force: true });
  truncateSync(join(path, "journal.db"), 700);
  rmSync(join(path, "tokens.db"));
  expect((await damagedParts(path)).map((part) => part.name)).toEqual(["journal.db", "tokens.db"]);
  expect(await renewParts(path, 0)).toHaveLength(1);
  await using _closing = await usable();
});

/** The store opens, has its secret, and its journal takes records. */
async function usable(): Promise<AsyncDisposable> {
  const local = await open();
  expect((await local.store.read("a", "current"))?.value.reveal()).toBe('{"password":"one"}');
  expect(await local.journal.refs()).toEqual([]);
  expect(await local.tokens.list()).toEqual([]);
  return { [Symbol.asyncDispose]: () => local.close() };
}
