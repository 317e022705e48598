import { KeyturnError } from "../core/errors.ts";
import type { Clock, SecretStore, Stage, StoredSecret } from "../core/ports.ts";
import { Secret } from "../core/secret.ts";
import { Database } from "./database.ts";
import type { Keyring } from "./keyring.ts";
import type { Row } from "./row.ts";

/**
 * A row without a value is the tombstone of an id that was discarded before it was ever saved. `closed` ids can never be
 * saved again. At most one version of a secret has a stage.
 */
const migrations = [
  `CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
   CREATE TABLE keys (id TEXT PRIMARY KEY) STRICT;
   CREATE TABLE versions (
     ref TEXT NOT NULL, version TEXT NOT NULL,
     stage TEXT CHECK (stage IN ('pending', 'current', 'previous')),
     closed INTEGER NOT NULL DEFAULT 0,
     disabled_at REAL,
     created_at REAL NOT NULL,
     key_id TEXT, iv BLOB, sealed BLOB,
     PRIMARY KEY (ref, version)
   ) STRICT;
   CREATE UNIQUE INDEX versions_stage ON versions (ref, stage) WHERE stage IS NOT NULL;`,
];

export function openSecretsFile(path: string, create: boolean): Promise<Database> {
  return Database.open({ path, migrations, unavailable: "store-unavailable" }, create);
}

/** Secrets in a SQLite file, each value sealed for its reference and version. */
export function localSecretStore(
  database: Database,
  keyring: Keyring,
  clock: Pick<Clock, "now">,
): SecretStore {
  const opened = (row: Row | undefined): StoredSecret | undefined =>
    row === undefined || !row.has("sealed") || row.has("disabled_at")
      ? undefined
      : openRow(row, keyring, database);
  return {
    list: async (prefix = "") => {
      const rows = await database.read(() =>
        database.rows("SELECT DISTINCT ref FROM versions WHERE sealed IS NOT NULL"),
      );
      return rows
        .map((row) => row.text("ref"))
        .filter((ref) => ref.startsWith(prefix))
        .sort();
    },
    versions: async (ref) => {
      const rows = await database.read(() =>
        database.rows(
          "SELECT * FROM versions WHERE ref = ? AND sealed IS NOT NULL ORDER BY created_at DESC, rowid DESC",
          ref,
        ),
      );
      return rows.map((row) => ({
        version: row.text("version"),
        createdAt: row.number("created_at"),
        stage: stageOf(row.optionalText("stage")),
        disabled: row.has("disabled_at"),
      }));
    },
    read: async (ref, which) => {
      const { isThere, stored } = await database.read(() => {
        const row =
          typeof which === "object" && "version" in which
            ? versionOf(database, ref, which.version)
            : holderOf(database, ref, typeof which === "string" ? which : "pending");
        return { isThere: row !== undefined, stored: opened(row) };
      });
      // What a damaged index does not find looks as if it had never been. Nothing is pending most of the time.
      const isMostlyThere = which === "current" || (typeof which === "object" && "version" in which);
      if (!isThere && isMostlyThere) await database.assertWhole();
      return stored;
    },
    savePending: async (ref, rotationId, value) =>
      database.write(() => {
        const saved = versionOf(database, ref, rotationId);
        const first = saved?.optionalText("stage") === "pending" ? opened(saved) : undefined;
        if (first !== undefined) return first;
        if (saved !== undefined) throw conflict(`${rotationId} of ${ref} was promoted or discarded`);
        const pending = holderOf(database, ref, "pending")?.text("version");
        if (pending !== undefined) throw conflict(`${pending} is pending on ${ref}`);
        const createdAt = clock.now();
        insert(database, keyring, { ref, version: rotationId, value, createdAt });
        return { ref, version: rotationId, value, createdAt };
      }),
    discardPending: async (ref, rotationId) =>
      database.write(() => {
        database.run(
          `INSERT INTO versions (ref, version, closed, created_at) VALUES (?, ?, 1, ?)
           ON CONFLICT DO UPDATE SET closed = 1, stage = nullif(stage, 'pending')`,
          ref,
          rotationId,
          clock.now(),
        );
      }),
    promote: async (ref, rotationId, expectedCurrent) =>
      database.write(() => promote(database, ref, rotationId, expectedCurrent)),
    disable: async (ref, version) =>
      database.write(() => {
        const stage = versionOf(database, ref, version)?.optionalText("stage");
        if (stage === "current" || stage === "pending") {
          throw new KeyturnError("request-refused", `${version} is ${stage} of ${ref}`);
        }
        database.run(
          `UPDATE versions SET stage = NULL, disabled_at = coalesce(disabled_at, ?) WHERE ref = ? AND version = ?`,
          clock.now(),
          ref,
          version,
        );
        return "disabled";
      }),
  };
}

/** Which keys have sealed values here. */
export function knownKeyIds(database: Database): readonly string[] {
  return database.rows("SELECT id FROM keys").map((row) => row.text("id"));
}

export function rememberKey(database: Database, keyId: string): void {
  database.run("INSERT OR IGNORE INTO keys (id) VALUES (?)", keyId);
}

function promote(database: Database, ref: string, rotationId: string, expected: string | undefined): void {
  const current = holderOf(database, ref, "current")?.text("version");
  if (current === rotationId) return;
  if (current !== expected) {
    throw conflict(`current of ${ref} is ${current ?? "absent"}, and not ${expected ?? "absent"}`);
  }
  if (holderOf(database, ref, "pending")?.text("version") !== rotationId) {
    throw conflict(`${rotationId} is not pending on ${ref}`);
  }
  database.run("UPDATE versions SET stage = NULL WHERE ref = ? AND stage = 'previous'", ref);
  database.run("UPDATE versions SET stage = 'previous' WHERE ref = ? AND stage = 'current'", ref);
  database.run(
    "UPDATE versions SET stage = 'current', closed = 1 WHERE ref = ? AND version = ?",
    ref,
    rotationId,
  );
}

function insert(
  database: Database,
  keyring: Keyring,
  { ref, version, value, createdAt }: StoredSecret,
): void {
  const { keyId, iv, sealed } = keyring.seal(value.reveal(), placeOf(ref, version));
  rememberKey(database, keyId);
  database.run(
    `INSERT INTO versions (ref, version, stage, created_at, key_id, iv, sealed)
     VALUES (?, ?, 'pending', ?, ?, ?, ?)`,
    ref,
    version,
    createdAt,
    keyId,
    iv,
    sealed,
  );
}

function openRow(row: Row, keyring: Keyring, database: Database): StoredSecret {
  const { path } = database;
  const ref = row.text("ref");
  const version = row.text("version");
  const keyId = row.text("key_id");
  if (!keyring.ids.includes(keyId) && !knownKeyIds(database).includes(keyId))
    throw new KeyturnError("data-broken", `${path}: version ${version} of ${ref} names a key that never was`);
  const value = { keyId, iv: row.bytes("iv"), sealed: row.bytes("sealed") };
  const text = keyring.open(value, placeOf(ref, version));
  if (text === undefined) {
    throw new KeyturnError("data-broken", `${path}: version ${version} of ${ref} was changed or damaged`);
  }
  return { ref, version, value: new Secret(text), createdAt: row.number("created_at") };
}

function stageOf(text: string | undefined): Stage | undefined {
  return text === "pending" || text === "current" || text === "previous" ? text : undefined;
}

function holderOf(database: Database, ref: string, stage: string): Row | undefined {
  return database.row("SELECT * FROM versions WHERE ref = ? AND stage = ?", ref, stage);
}

function versionOf(database: Database, ref: string, version: string): Row | undefined {
  return database.row("SELECT * FROM versions WHERE ref = ? AND version = ?", ref, version);
}

/** What a sealed value is bound to: two rows cannot be exchanged. */
function placeOf(ref: string, version: string): string {
  return JSON.stringify(["keyturn/value", ref, version]);
}

function conflict(message: string): KeyturnError {
  return new KeyturnError("conflict", message);
}
