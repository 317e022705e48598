import { closeSync, existsSync, openSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { type ErrorCode, KeyturnError } from "../core/errors.ts";
import { keepPrivate } from "./files.ts";
import { Row } from "./row.ts";
import { schemaMadeBy, schemaSql } from "./schema.ts";

export interface DatabaseFile {
  readonly path: string;
  /** One script for each version of the schema; the file remembers how many it has. Only ever add one at the end. */
  readonly migrations: readonly string[];
  /** What an outage of this file is called. */
  readonly unavailable: ErrorCode;
  /** `NORMAL` outlives the death of every process, not the machine's: for what is worthless after a power cut. */
  readonly synchronous?: "FULL" | "NORMAL";
}

/** SQLite blocks this whole process while it waits for a lock, so it waits shortly; the rest is waited for in between. */
const lockWaitMs = 5;
const retryForMs = 15_000;
const retryMaxMs = 20;

/** A file that several processes read and write at once. What is committed survives a kill at any line. */
export class Database implements Disposable {
  readonly path: string;
  readonly #sqlite: DatabaseSync;
  readonly #unavailable: ErrorCode;
  readonly #statements = new Map<string, StatementSync>();
  /** Resolves when the writes that were asked for before are over: of this process only one at a time waits for the lock. */
  #turn: Promise<unknown> = Promise.resolve();

  /** Without `create` a file that is missing or empty is `data-broken`: a lost file must not look like a new one. */
  static async open(file: DatabaseFile, create: boolean): Promise<Database> {
    if (create) closeSync(openSync(file.path, "a", 0o600));
    else if (!existsSync(file.path)) throw missing(file.path);
    keepPrivate(file.path);
    const database = new Database(file);
    try {
      await database.#prepareFile(file, create);
      return database;
    } catch (thrown) {
      database.close();
      throw thrown;
    }
  }

  /** Reads the whole file: `data-broken` says what does not fit together in it. */
  static async check(path: string): Promise<void> {
    using database = new Database({ path, migrations: [], unavailable: "store-unavailable" });
    await database.assertWhole();
  }

  private constructor({ path, unavailable }: DatabaseFile) {
    this.path = path;
    this.#unavailable = unavailable;
    this.#sqlite = this.#translated(() => new DatabaseSync(path, { timeout: lockWaitMs }));
  }

  /** Reads the whole file: `data-broken` says what does not fit together in it. */
  async assertWhole(): Promise<void> {
    const [found] = await this.read(() => this.rows("PRAGMA integrity_check(1)"));
    const said = found?.text("integrity_check");
    if (said !== "ok") throw new KeyturnError("data-broken", `${this.path}: ${said?.split("\n").join(" ")}`);
  }

  /** One consistent look. */
  async read<T>(work: () => T): Promise<T> {
    return this.#retried(() => {
      this.#sqlite.exec("BEGIN");
      return this.#committed(work);
    });
  }

  /** All of it or nothing, and nobody else writes meanwhile. `work` may run again as long as nothing of it has counted. */
  write<T>(work: () => T): Promise<T> {
    const giveUpAt = performance.now() + retryForMs;
    const written = this.#turn.then(() =>
      this.#retried(() => {
        this.#sqlite.exec("BEGIN IMMEDIATE");
        return this.#committed(work);
      }, giveUpAt),
    );
    this.#turn = written.catch(() => undefined);
    return written;
  }

  row(sql: string, ...values: SQLInputValue[]): Row | undefined {
    const found = this.#statement(sql).get(...values);
    return found && new Row(found, this.path);
  }

  rows(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#statement(sql)
      .all(...values)
      .map((found) => new Row(found, this.path));
  }

  /** Gives how many rows it changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#statement(sql).run(...values).changes);
  }

  close(): void {
    this.#statements.clear();
    if (this.#sqlite.isOpen) this.#sqlite.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #prepareFile({ migrations, synchronous = "FULL" }: DatabaseFile, create: boolean): Promise<void> {
    const version = await this.#retried(() => this.#version());
    if (version > schemaMax) throw new KeyturnError("data-broken", `${this.path} has no schema that can be`);
    if (version > migrations.length) {
      throw new KeyturnError(
        "schema-newer",
        `${this.path} has schema ${version}; this Keyturn knows ${migrations.length}`,
      );
    }
    if (version === 0 && !create) throw missing(this.path);
    await this.#retried(() => this.#sqlite.exec("PRAGMA journal_mode = WAL"));
    this.#translated(() => this.#sqlite.exec(`PRAGMA synchronous = ${synchronous}; PRAGMA fullfsync = ON`));
    if (version < migrations.length) await this.write(() => this.#migrate(migrations));
    await this.read(() => this.#assertSchema(migrations));
  }

  /** A bit that is turned over in it gives a column another name, and every row is read as if it had nothing there. */
  #assertSchema(migrations: readonly string[]): void {
    // A newer Keyturn was faster.
    if (this.#version() !== migrations.length) return;
    const made = this.rows(schemaSql).map((row) => row.text("sql"));
    if (JSON.stringify(made) === JSON.stringify(schemaMadeBy(migrations))) return;
    throw new KeyturnError("data-broken", `${this.path}: its schema is not as it was made`);
  }

  /** Looks at the version again: another process may have been faster. */
  #migrate(migrations: readonly string[]): void {
    for (const script of migrations.slice(this.#version())) this.#sqlite.exec(script);
    this.#sqlite.exec(`PRAGMA user_version = ${migrations.length}`);
  }

  #version(): number {
    const found = this.#sqlite.prepare("PRAGMA user_version").get();
    return new Row(found ?? {}, this.path).number("user_version");
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const made = this.#sqlite.prepare(sql);
    this.#statements.set(sql, made);
    return made;
  }

  #committed<T>(work: () => T): T {
    try {
      const result = work();
      this.#sqlite.exec("COMMIT");
      return result;
    } finally {
      if (this.#sqlite.isTransaction) this.#sqlite.exec("ROLLBACK");
    }
  }

  /** Runs without a pause from its beginning to its end; only between two tries may other work of this process run. */
  async #retried<T>(work: () => T, giveUpAt = performance.now() + retryForMs): Promise<T> {
    for (;;) {
      try {
        return this.#translated(work);
      } catch (thrown) {
        if (!isLocked(thrown) || performance.now() >= giveUpAt) throw thrown;
      }
      await sleep(1 + Math.random() * retryMaxMs);
    }
  }

  #translated<T>(work: () => T): T {
    try {
      return work();
    } catch (thrown) {
      if (thrown instanceof KeyturnError) throw thrown;
      throw this.#translate(thrown);
    }
  }

  #translate(thrown: unknown): unknown {
    if (hasCode(thrown, "ERR_INVALID_STATE"))
      return new KeyturnError(this.#unavailable, `${this.path} is closed`, { cause: thrown });
    const errcode = errcodeOf(thrown);
    if (errcode === undefined) return thrown;
    const kind = primaryCode(errcode);
    const message = `${this.path}: ${thrown instanceof Error ? thrown.message : ""}`;
    if (brokenCodes.has(kind) || lacksSchema.test(message))
      return new KeyturnError("data-broken", message, { cause: thrown });
    if (outageCodes.has(kind)) {
      const room = roomCodes.has(kind) ? noRoom(this.path) : "";
      return new KeyturnError(this.#unavailable, message + room, { cause: thrown });
    }
    return thrown;
  }
}

/** CORRUPT, NOTADB */
const brokenCodes: ReadonlySet<number> = new Set([11, 26]);
/** What SQLite says, by a code that it has for everything, where the tables are not as we made them. */
const lacksSchema = /: (no such (table|column|index)\b|unsupported file format)/;
/** No Keyturn will ever have so many. */
const schemaMax = 10_000;
/** PERM, BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN, PROTOCOL, AUTH */
const outageCodes: ReadonlySet<number> = new Set([3, 5, 6, 7, 8, 10, 13, 14, 15, 23]);

/** IOERR, FULL: SQLite calls a full disk by either name. */
const roomCodes: ReadonlySet<number> = new Set([10, 13]);
const roomMinKilobytes = 1024;

/** Says so where the disk is full, or nearly. */
function noRoom(path: string): string {
  try {
    const { bavail, bsize } = statfsSync(dirname(path));
    const kilobytes = Math.floor((bavail * bsize) / 1024);
    return kilobytes < roomMinKilobytes ? `; its disk has ${kilobytes} kB left: make room` : "";
  } catch {
    return "";
  }
}

function isLocked(thrown: unknown): boolean {
  const errcode = errcodeOf(thrown instanceof KeyturnError ? thrown.cause : thrown);
  return errcode !== undefined && [5, 6].includes(primaryCode(errcode));
}

/** SQLite puts details into the higher bits. */
function primaryCode(errcode: number): number {
  return errcode & 0xff;
}

function errcodeOf(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error) || !("errcode" in thrown)) return undefined;
  return typeof thrown.errcode === "number" ? thrown.errcode : undefined;
}

function hasCode(thrown: unknown, code: string): boolean {
  return thrown instanceof Error && "code" in thrown && thrown.code === code;
}

function missing(path: string): KeyturnError {
  return new KeyturnError(
    "data-broken",
    `${path} is missing or empty: finish an interrupted \`keyturn init\`, or restore it from a backup`,
  );
}
