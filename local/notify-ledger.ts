import { renameSync } from "node:fs";
import * as z from "zod/mini";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import type { NotifyLedger, Told, Waiting } from "../notify/ledger.ts";
import { Condition, Notice } from "../notify/notice.ts";
import { Database } from "./database.ts";
import { exists } from "./files.ts";
import type { Row } from "./row.ts";

/** A notice is kept for a while after it was settled, so that an event that comes twice is told once. */
const migrations = [
  `CREATE TABLE place (id INTEGER PRIMARY KEY CHECK (id = 1), place INTEGER NOT NULL) STRICT;
   CREATE TABLE told (
     channel TEXT NOT NULL, key TEXT NOT NULL, ref TEXT NOT NULL, condition TEXT NOT NULL,
     told_at REAL NOT NULL, reminders INTEGER NOT NULL, PRIMARY KEY (channel, key)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX told_ref ON told (ref);
   CREATE TABLE notices (
     sequence INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, id TEXT NOT NULL, notice TEXT NOT NULL,
     at REAL NOT NULL, settled_at REAL, UNIQUE (channel, id)
   ) STRICT;
   CREATE INDEX notices_waiting ON notices (channel, sequence) WHERE settled_at IS NULL;
   CREATE INDEX notices_settled ON notices (settled_at) WHERE settled_at IS NOT NULL;`,
];

/** Longer than events are kept. */
const settledForMs = 8 * 24 * 60 * 60 * 1000;
/** News for a channel that takes none is dropped beyond this; what a person must see never is. */
const newsMax = 10_000;

const waitingSql =
  "SELECT sequence, notice, at FROM notices WHERE channel = ? AND settled_at IS NULL ORDER BY sequence LIMIT ?";
const countSql = "SELECT count(*) AS count FROM notices WHERE channel = ? AND settled_at IS NULL";

export interface LocalNotifyLedger extends NotifyLedger, Disposable {
  /** Where a broken file was put aside to, when this one was made in its place. */
  readonly replaced: string | undefined;
}

/**
 * Makes the file where there is none. A broken one is put aside: to be told something twice is better than to be told of nothing.
 */
export async function openNotifyLedger(path: string, now: number): Promise<LocalNotifyLedger> {
  const file = { path, migrations, unavailable: "store-unavailable" } as const;
  try {
    return ledgerIn(await Database.open(file, true), undefined);
  } catch (thrown) {
    if (asKeyturnError(thrown).code !== "data-broken") throw thrown;
    const replaced = `${path}.broken-${now}`;
    for (const suffix of ["", "-wal", "-shm"]) {
      if (exists(`${path}${suffix}`)) renameSync(`${path}${suffix}`, `${replaced}${suffix}`);
    }
    return ledgerIn(await Database.open(file, true), replaced);
  }
}

function ledgerIn(database: Database, replaced: string | undefined): LocalNotifyLedger {
  return {
    replaced,
    place: async () => (await database.read(() => database.row("SELECT place FROM place")))?.number("place"),
    setPlace: async (place) => {
      const sql =
        "INSERT INTO place (id, place) VALUES (1, ?) ON CONFLICT DO UPDATE SET place = excluded.place";
      await database.write(() => database.run(sql, place));
    },
    told: async (ref) => {
      const sql = "SELECT channel, condition, told_at, reminders FROM told WHERE ref = ?";
      const rows = await database.read(() => database.rows(sql, ref));
      return rows.map((row) => toldIn(row, database.path));
    },
    toldRefs: async () => {
      const rows = await database.read(() => database.rows("SELECT DISTINCT ref FROM told ORDER BY ref"));
      return rows.map((row) => row.text("ref"));
    },
    record: ({ tell, closed, told }, now) =>
      database.write(() => {
        for (const { channel, key } of closed) {
          database.run("DELETE FROM told WHERE channel = ? AND key = ?", channel, key);
        }
        for (const row of told) putTold(database, row);
        for (const [channel, notices] of Map.groupBy(tell, (row) => row.channel)) {
          putNotices(
            database,
            channel,
            notices.map(({ notice }) => notice),
            now,
          );
        }
        database.run("DELETE FROM notices WHERE settled_at < ?", now - settledForMs);
      }),
    waiting: async (channel, limit) => {
      const rows = await database.read(() => database.rows(waitingSql, channel, limit));
      return rows.map((row) => waitingIn(row, database.path));
    },
    settle: async (sequence, now) => {
      const sql = "UPDATE notices SET settled_at = ? WHERE sequence = ?";
      await database.write(() => database.run(sql, now, sequence));
    },
    [Symbol.dispose]: () => database.close(),
  };
}

function putTold(database: Database, { channel, condition, toldAt, reminders }: Told): void {
  database.run(
    "INSERT OR REPLACE INTO told (channel, key, ref, condition, told_at, reminders) VALUES (?, ?, ?, ?, ?, ?)",
    channel,
    condition.key,
    condition.secret,
    JSON.stringify(condition),
    toldAt,
    reminders,
  );
}

function putNotices(database: Database, channel: string, notices: readonly Notice[], now: number): void {
  let waiting = database.row(countSql, channel)?.number("count") ?? 0;
  for (const notice of notices) {
    if (notice.status === "told" && waiting >= newsMax) continue;
    waiting += database.run(
      "INSERT OR IGNORE INTO notices (channel, id, notice, at) VALUES (?, ?, ?, ?)",
      channel,
      notice.id,
      JSON.stringify(notice),
      now,
    );
  }
}

function toldIn(row: Row, path: string): Told {
  return {
    channel: row.text("channel"),
    condition: shaped(Condition, row.json("condition"), path),
    toldAt: row.number("told_at"),
    reminders: row.number("reminders"),
  };
}

function waitingIn(row: Row, path: string): Waiting {
  const notice = shaped(Notice, row.json("notice"), path);
  return { sequence: row.number("sequence"), notice, at: row.number("at") };
}

function shaped<Shape>(schema: z.ZodMiniType<Shape>, json: unknown, path: string): Shape {
  const parsed = z.safeParse(schema, json);
  if (parsed.success) return parsed.data;
  throw new KeyturnError("data-broken", `${path} has a row that cannot be read`);
}
