import { createHash } from "node:crypto";
import { KeyturnError } from "../core/errors.ts";
import { AgentReport, type AgentState, hear } from "../core/fleet.ts";
import type { Journal } from "../core/ports.ts";
import { parseRecord } from "../core/record.ts";
import { Database } from "./database.ts";
import type { Row } from "./row.ts";

/** The primary keys begin with what is asked for: an agent's secret, and a fingerprint. */
const migrations = [
  `CREATE TABLE records (
     ref TEXT PRIMARY KEY, revision INTEGER NOT NULL, due_at REAL, record TEXT NOT NULL
   ) STRICT;
   CREATE INDEX records_due ON records (due_at, ref) WHERE due_at IS NOT NULL;
   CREATE TABLE agents (
     ref TEXT NOT NULL, agent TEXT NOT NULL, sequence REAL NOT NULL, seen_at REAL NOT NULL,
     adopted_at REAL, hold_seen_at TEXT NOT NULL, report TEXT NOT NULL,
     PRIMARY KEY (ref, agent)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE fingerprints (
     fingerprint TEXT NOT NULL, ref TEXT NOT NULL, version TEXT NOT NULL, field TEXT NOT NULL,
     PRIMARY KEY (fingerprint, ref, version, field)
   ) STRICT, WITHOUT ROWID;`,
  // Empty: saved before there were any.
  "ALTER TABLE records ADD COLUMN checksum TEXT NOT NULL DEFAULT ''",
  "ALTER TABLE fingerprints ADD COLUMN checksum TEXT NOT NULL DEFAULT ''",
];

const dueSql = "SELECT ref FROM records WHERE due_at <= ? ORDER BY due_at, ref LIMIT ?";
const nextDueSql = "SELECT min(due_at) AS due_at FROM records WHERE due_at IS NOT NULL";
const fingerprintsSql = "SELECT * FROM fingerprints";
const identifySql = "SELECT * FROM fingerprints WHERE fingerprint = ?";

/** What these ask must cost by what they find; a test looks at SQLite's plans for them. */
export const indexedQueries = [dueSql, nextDueSql, identifySql] as const;

export interface LocalJournal extends Journal, Disposable {
  /** Reads every fingerprint: `data-broken` names one that is not as it was saved. A record says so by itself, when it is loaded. */
  assertWhole(): Promise<void>;
  /** Drops the fingerprints that are not as they were saved: what is left can be relied on. */
  dropChanged(): Promise<void>;
}

/** Records, agents' reports and fingerprints in a SQLite file. */
export async function openJournal(path: string, create: boolean): Promise<LocalJournal> {
  const file = { path, migrations, unavailable: "journal-unavailable" } as const;
  const database = await Database.open(file, create);
  // Reports come by the second. A power cut that takes the last ones takes the agents of this machine too.
  const reports = await Database.open({ ...file, synchronous: "NORMAL" }, false);
  return {
    ...recordsIn(database),
    ...agentsIn(reports),
    ...fingerprintsIn(database),
    assertWhole: () =>
      database.read(() => {
        for (const row of database.rows(fingerprintsSql)) assertAsRemembered(row, database);
      }),
    dropChanged: () => database.write(() => dropChanged(database)),
    [Symbol.dispose]: () => {
      reports.close();
      database.close();
    },
  };
}

function recordsIn(database: Database): Pick<Journal, "load" | "save" | "due" | "nextDueAt" | "refs"> {
  return {
    load: async (ref) => {
      const row = await database.read(() => database.row("SELECT * FROM records WHERE ref = ?", ref));
      if (row === undefined) return undefined;
      assertWhole(row, database);
      const record = parseRecord(row.json("record"), ref);
      if (record.ref !== ref) throw broken(database, `the record of ${ref} is that of ${record.ref}`);
      return { record, revision: row.number("revision") };
    },
    save: async (record, expectedRevision) => {
      const { ref, dueAt } = record;
      const json = JSON.stringify(record);
      const revision = (expectedRevision ?? 0) + 1;
      const checksum = checksumOf({ ref, revision, dueAt, json });
      const changed = await database.write(() =>
        expectedRevision === undefined
          ? database.run(
              "INSERT INTO records (ref, revision, due_at, record, checksum) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
              ref,
              revision,
              dueAt,
              json,
              checksum,
            )
          : database.run(
              "UPDATE records SET revision = ?, due_at = ?, record = ?, checksum = ? WHERE ref = ? AND revision = ?",
              revision,
              dueAt,
              json,
              checksum,
              ref,
              expectedRevision,
            ),
      );
      if (changed === 0) throw new KeyturnError("conflict", `the record of ${ref} has moved`);
      return revision;
    },
    due: async (now, limit) => {
      const rows = await database.read(() => database.rows(dueSql, now, limit));
      return rows.map((row) => row.text("ref"));
    },
    nextDueAt: async () => (await database.read(() => database.row(nextDueSql)))?.optionalNumber("due_at"),
    refs: async () => {
      const rows = await database.read(() => database.rows("SELECT ref FROM records"));
      return rows.map((row) => row.text("ref")).sort();
    },
  };
}

interface SavedRecord {
  readonly ref: string;
  readonly revision: number;
  readonly dueAt: number | null;
  readonly json: string;
}

function checksumOf({ ref, revision, dueAt, json }: SavedRecord): string {
  return checksum([ref, revision, dueAt, json]);
}

/** Tells what a disk has changed, though it still reads like a row. Against somebody who writes to the file it says nothing. */
function checksum(fields: readonly (string | number | null)[]): string {
  return createHash("sha256").update(JSON.stringify(fields)).digest("base64url").slice(0, 22);
}

function assertWhole(row: Row, database: Database): void {
  const [ref, kept] = [row.text("ref"), row.text("checksum")];
  const saved = {
    ref,
    revision: row.number("revision"),
    dueAt: row.optionalNumber("due_at") ?? null,
    json: row.text("record"),
  };
  if (kept === "" || kept === checksumOf(saved)) return;
  throw broken(database, `the record of ${ref} is not as it was saved`);
}

function agentsIn(database: Database): Pick<Journal, "report" | "agents" | "forgetAgents"> {
  return {
    report: async (reports, now) => {
      if (reports.length === 0) return;
      await database.write(() => {
        for (const report of reports) take(database, report, now);
      });
    },
    agents: async (ref) => {
      const rows = await database.read(() => database.rows("SELECT * FROM agents WHERE ref = ?", ref));
      return rows.map((row) => agentState(row, database));
    },
    forgetAgents: async (ref, before) => {
      await database.write(() =>
        database.run("DELETE FROM agents WHERE ref = ? AND seen_at < ?", ref, before),
      );
    },
  };
}

/** An agent that leaves keeps its row: that it left is what core wants to know. */
function take(database: Database, report: AgentReport, now: number): void {
  const { ref, agent } = report;
  const row = database.row("SELECT * FROM agents WHERE ref = ? AND agent = ?", ref, agent);
  const state = hear(row && agentState(row, database), report, now);
  if (state === undefined) return;
  database.run(
    `INSERT OR REPLACE INTO agents (ref, agent, sequence, seen_at, adopted_at, hold_seen_at, report)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
    ref,
    agent,
    state.sequence,
    state.seenAt,
    state.adoptedAt ?? null,
    JSON.stringify(state.holdSeenAt),
    JSON.stringify(report),
  );
}

function agentState(row: Row, database: Database): AgentState {
  const report = AgentReport.safeParse(row.json("report"));
  if (!report.success) {
    throw broken(database, `the report of ${row.text("agent")} on ${row.text("ref")} cannot be read`);
  }
  return {
    ...report.data,
    seenAt: row.number("seen_at"),
    adoptedAt: row.optionalNumber("adopted_at"),
    holdSeenAt: times(row.json("hold_seen_at")),
  };
}

function times(json: unknown): Record<string, number> {
  const entries = typeof json === "object" && json !== null ? Object.entries(json) : [];
  return Object.fromEntries(
    entries.flatMap(([id, time]): [string, number][] => (typeof time === "number" ? [[id, time]] : [])),
  );
}

function fingerprintsIn(database: Database): Pick<Journal, "remember" | "identify"> {
  return {
    remember: async (ref, version, fields) => {
      await database.write(() => {
        for (const [field, fingerprint] of Object.entries(fields)) {
          database.run(
            "INSERT OR IGNORE INTO fingerprints (fingerprint, ref, version, field, checksum) VALUES (?, ?, ?, ?, ?)",
            fingerprint,
            ref,
            version,
            field,
            checksum([fingerprint, ref, version, field]),
          );
        }
      });
    },
    identify: async (fingerprints) =>
      database.read(() =>
        [...new Set(fingerprints)]
          .flatMap((fingerprint) => database.rows(identifySql, fingerprint))
          .map((row) => assertAsRemembered(row, database)),
      ),
  };
}

/** A fingerprint that a disk has changed finds nothing any more, and nobody notices until it is looked for. */
function assertAsRemembered(row: Row, database: Database) {
  const { ref, version, field } = rememberedIn(row);
  if (isAsRemembered(row)) return { ref, version, field };
  const message = `the fingerprint of ${field} in version ${version} of ${ref} is not as it was saved`;
  throw broken(database, message);
}

function dropChanged(database: Database): void {
  for (const row of database.rows(fingerprintsSql)) {
    if (isAsRemembered(row)) continue;
    const { fingerprint, ref, version, field } = rememberedIn(row);
    const where = "fingerprint = ? AND ref = ? AND version = ? AND field = ?";
    database.run(`DELETE FROM fingerprints WHERE ${where}`, fingerprint, ref, version, field);
  }
}

function isAsRemembered(row: Row): boolean {
  const kept = row.text("checksum");
  const { fingerprint, ref, version, field } = rememberedIn(row);
  return kept === "" || kept === checksum([fingerprint, ref, version, field]);
}

function rememberedIn(row: Row) {
  return {
    fingerprint: row.text("fingerprint"),
    ref: row.text("ref"),
    version: row.text("version"),
    field: row.text("field"),
  };
}

function broken(database: Database, message: string): KeyturnError {
  return new KeyturnError("data-broken", `${database.path}: ${message}`);
}
