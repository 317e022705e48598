import { copyFileSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import { newRecord, type RotationRecord } from "../core/record.ts";
import { Secret } from "../core/secret.ts";
import { chanceFrom } from "./chance.ts";
import { systemClock } from "./clock.ts";
import { temporaryFolder, temporaryStore } from "./folder.contract.ts";
import { openJournal } from "./journal.ts";
import { Keyring } from "./keyring.ts";
import { damagedParts, renewParts } from "./renew.ts";
import { localSecretStore, openSecretsFile } from "./secret-store.ts";

const ref = "app/db";
const record: RotationRecord = { ...newRecord(ref), epoch: 12, dueAt: 5_000 };

/** A journal with one record, changed behind its back in a way that still reads like one. */
async function changed(sql: string) {
  const path = join(temporaryFolder(), "journal.db");
  {
    using journal = await openJournal(path, true);
    await journal.save(record, undefined);
  }
  using file = new DatabaseSync(path);
  file.exec(sql);
  return openJournal(path, false);
}

describe("a record that a disk has changed, and that still reads like one", () => {
  test.each([
    ["its epoch", `UPDATE records SET record = replace(record, '"epoch":12', '"epoch":13')`],
    ["a letter of a name", `UPDATE records SET record = replace(record, '"holds"', '"hoLds"')`],
    ["its revision", "UPDATE records SET revision = 3"],
    ["when it is due", "UPDATE records SET due_at = 5001"],
    ["that it is due", "UPDATE records SET due_at = NULL"],
    ["its checksum", "UPDATE records SET checksum = 'A' || substr(checksum, 2, 20) || '!'"],
  ])("is told as damage, and not obeyed: %s", async (_, sql) => {
    using journal = await changed(sql);
    await expect(journal.load(ref)).rejects.toMatchObject({
      code: "data-broken",
      message: expect.stringMatching(/journal\.db: the record of app\/db is not as it was saved$/),
    });
  });

  test("was saved before there were checksums: it is read, and has one from the next save on", async () => {
    using journal = await changed("UPDATE records SET checksum = ''");
    expect(await journal.load(ref)).toEqual({ record, revision: 1 });
    await journal.save({ ...record, epoch: 13 }, 1);
    expect(await journal.load(ref)).toEqual({ record: { ...record, epoch: 13 }, revision: 2 });
  });

  test("of an older journal, whose table has no checksums, is taken over", async () => {
    const path = join(temporaryFolder(), "journal.db");
    {
      using journal = await openJournal(path, true);
      await journal.save(record, undefined);
      using file = new DatabaseSync(path);
      for (const table of ["records", "fingerprints"])
        file.exec(`ALTER TABLE ${table} DROP COLUMN checksum; PRAGMA user_version = 1`);
    }
    using journal = await openJournal(path, false);
    expect(await journal.load(ref)).toEqual({ record, revision: 1 });
  });
});

describe("what reads like an empty place, though something was there", () => {
  test("a column whose name has a bit turned over: the file is told as damaged, and no value as absent", async () => {
    const path = join(temporaryFolder(), "secrets.db");
    (await openSecretsFile(path, true)).close();
    const bytes = readFileSync(path);
    const at = bytes.indexOf("sealed BLOB");
    expect(at).toBeGreaterThan(0);
    writeFileSync(path, bytes.with(at, (bytes[at] ?? 0) ^ 32));
    await expect(openSecretsFile(path, false)).rejects.toMatchObject({
      code: "data-broken",
      message: expect.stringContaining("its schema is not as it was made"),
    });
  });

  test("a row that its index does not find: whoever asks for current is told that the file is damaged", async () => {
    const path = join(temporaryFolder(), "secrets.db");
    const keyring = new Keyring([new Uint8Array(32).fill(7)]);
    {
      using database = await openSecretsFile(path, true);
      const store = localSecretStore(database, keyring, systemClock);
      await store.savePending(ref, "v1", new Secret("a value"));
      await store.promote(ref, "v1", undefined);
    }
    // The index has the name, too, and loses it.
    const bytes = Buffer.from(readFileSync(path));
    for (let at = bytes.indexOf(`${ref}current`); at !== -1; at = bytes.indexOf(`${ref}current`))
      bytes[at] = 98;
    writeFileSync(path, bytes);
    using database = await openSecretsFile(path, false);
    const reading = localSecretStore(database, keyring, systemClock).read(ref, "current");
    await expect(reading).rejects.toMatchObject({ code: "data-broken" });
  });

  test("a fingerprint that was changed: a look at the whole says of which value", async () => {
    const path = join(temporaryFolder(), "journal.db");
    {
      using journal = await openJournal(path, true);
      await journal.remember(ref, "v1", { password: "k1:abc" });
      using file = new DatabaseSync(path);
      file.exec("UPDATE fingerprints SET fingerprint = 'k1:abb'");
    }
    using journal = await openJournal(path, false);
    await expect(journal.assertWhole()).rejects.toMatchObject({
      code: "data-broken",
      message: expect.stringContaining("the fingerprint of password in version v1 of app/db"),
    });
    await expect(journal.identify(["k1:abb"])).rejects.toMatchObject({ code: "data-broken" });
  });
});

test("fingerprints that were changed are dropped, and nothing else of the journal is", async () => {
  const { local, options } = await temporaryStore();
  await local.journal.save(record, undefined);
  for (const version of ["v1", "v2", "v3"])
    await local.journal.remember(ref, version, { password: `k1:${version}` });
  await local.close();
  {
    using file = new DatabaseSync(join(options.path, "journal.db"));
    file.exec("UPDATE fingerprints SET version = 'v9' WHERE version = 'v1'");
    file.exec(
      "UPDATE fingerprints SET checksum = 'A' || substr(checksum, 2, 20) || '!' WHERE version = 'v2'",
    );
  }
  expect(await damagedParts(options.path)).toEqual([
    {
      name: "fingerprints in journal.db",
      problem: expect.stringContaining("is not as it was saved"),
      loses: expect.stringContaining("that a leak of the value is recognised"),
    },
  ]);

  expect(await renewParts(options.path, 0)).toEqual([]);
  expect(await damagedParts(options.path)).toEqual([]);
  using journal = await openJournal(join(options.path, "journal.db"), false);
  expect(await journal.load(ref)).toEqual({ record, revision: 1 });
  expect(await journal.identify(["k1:v1", "k1:v2", "k1:v3"])).toEqual([
    { ref, version: "v3", field: "password" },
  ]);
});

describe("a write-ahead log that was cut, or has a bit turned over", () => {
  const key = new Uint8Array(32).fill(7);
  const saves = 40;

  /** Cut in half, at odd lengths and to nothing; and a bit of it turned over: copies of the files as a machine that died has left them. */
  function* damaged(path: string): Generator<string> {
    const chance = chanceFrom(3);
    const whole = readFileSync(`${path}-wal`);
    expect(whole.length).toBeGreaterThan(50_000);
    for (let turn = 0; turn < 24; turn += 1) {
      const copy = join(temporaryFolder(), "copy.db");
      copyFileSync(path, copy);
      writeFileSync(`${copy}-wal`, whole);
      const at = turn === 0 ? whole.length / 2 : Math.floor(chance.next() * whole.length);
      if (turn % 2 === 0) truncateSync(`${copy}-wal`, at);
      else writeFileSync(`${copy}-wal`, whole.with(at, (whole[at] ?? 0) ^ 4));
      yield copy;
    }
  }

  test("leaves a journal as it was at one of its saves, whole", async () => {
    const path = join(temporaryFolder(), "journal.db");
    using journal = await openJournal(path, true);
    for (let revision = 0; revision < saves; revision += 1)
      await journal.save({ ...record, epoch: revision + 1 }, revision === 0 ? undefined : revision);
    const seen = new Set<number>();
    for (const copy of damaged(path)) {
      const found = await openJournal(copy, false).then(
        async (reopened) => {
          using open = reopened;
          return open.load(ref);
        },
        (thrown: unknown) => {
          // What was cut before the tables were made is no journal.
          expect(thrown).toMatchObject({ code: "data-broken" });
          return undefined;
        },
      );
      if (found !== undefined) expect(found.record.epoch).toBe(found.revision);
      seen.add(found?.revision ?? 0);
    }
    expect(seen.size).toBeGreaterThan(5);
  });

  test("leaves a store as it was at one of its changes, with the right value for each version", async () => {
    const path = join(temporaryFolder(), "secrets.db");
    using database = await openSecretsFile(path, true);
    const store = localSecretStore(database, new Keyring([key]), systemClock);
    for (let version = 1; version <= saves; version += 1) {
      await store.savePending(ref, `v${version}`, new Secret(`value ${version}`));
      await store.promote(ref, `v${version}`, version === 1 ? undefined : `v${version - 1}`);
    }
    const seen = new Set<string>();
    for (const copy of damaged(path)) {
      const versions = await openSecretsFile(copy, false).then(
        async (reopened) => {
          using open = reopened;
          const kept = localSecretStore(open, new Keyring([key]), systemClock);
          const [pending, current] = [await kept.read(ref, "pending"), await kept.read(ref, "current")];
          for (const stored of [pending, current])
            expect(stored?.value.reveal()).toBe(stored && `value ${stored.version.slice(1)}`);
          return (await kept.versions(ref)).length;
        },
        (thrown: unknown) => {
          expect(thrown).toMatchObject({ code: "data-broken" });
          return 0;
        },
      );
      seen.add(`${versions}`);
    }
    expect(seen.size).toBeGreaterThan(5);
  });
});
