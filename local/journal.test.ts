import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { describeJournal, type OpenedJournal } from "../core/journal.contract.ts";
import { newRecord } from "../core/record.ts";
import { indexedQueries, type LocalJournal, openJournal } from "./journal.ts";

const base = mkdtempSync(join(tmpdir(), "keyturn-journal-"));
afterAll(() => rmSync(base, { recursive: true }));
const newPath = (): string => join(mkdtempSync(join(base, "one-")), "journal.db");

async function openAt(path: string, create: boolean): Promise<OpenedJournal> {
  const journal = await openJournal(path, create);
  return { journal, close: async () => journal[Symbol.dispose](), reopen: () => openAt(path, false) };
}

describeJournal("the local journal", () => openAt(newPath(), true));

describe("the local journal's file", () => {
  let path: string;
  let journal: LocalJournal;
  beforeEach(async () => {
    path = newPath();
    journal = await openJournal(path, true);
  });
  afterEach(() => journal[Symbol.dispose]());
  const behindItsBack = (sql: string): void => {
    const sqlite = new DatabaseSync(path);
    sqlite.exec(sql);
    sqlite.close();
  };

  test.each(indexedQueries)("never reads a whole table for: %s", (sql) => {
    const sqlite = new DatabaseSync(path);
    const parameters = Array.from({ length: sql.split("?").length - 1 }, () => 1);
    const plan = sqlite
      .prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .all(...parameters)
      .map((row) => String(row.detail));
    sqlite.close();
    const whole = plan.filter((line) => /^SCAN|TEMP B-TREE/.test(line) && !line.includes("records_due"));
    expect(whole).toEqual([]);
    expect(plan.join()).toMatch(/records_due|PRIMARY KEY/);
  });

  test("what is due of 100,000 records costs by what is due", async () => {
    const record = JSON.stringify({ ...newRecord("r"), filler: "x".repeat(200) });
    const insert = "INSERT INTO records (ref, revision, due_at, record)";
    behindItsBack(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
       ${insert} SELECT printf('r%06d', i), 1, CASE WHEN i % 10000 = 0 THEN i ELSE 1e12 + i END, '${record}' FROM n`,
    );
    const due = await journal.due(1_000_000, 100);
    expect(due).toHaveLength(10);
    expect(due[0]).toBe("r010000");
    expect(await journal.nextDueAt()).toBe(10_000);
    const begun = performance.now();
    for (let round = 0; round < 100; round += 1) {
      await journal.due(1_000_000, 100);
      await journal.nextDueAt();
    }
    const eachMs = (performance.now() - begun) / 100;
    // Reading all of it takes tens of milliseconds.
    expect(eachMs).toBeLessThan(15);
  });

  test.each([
    ["that is not JSON", "UPDATE records SET checksum = '', record = 'not JSON'", "data-broken"],
    [
      "that lacks a field",
      `UPDATE records SET checksum = '', record = json_remove(record, '$.debts')`,
      "data-broken",
    ],
    [
      "of another secret",
      `UPDATE records SET checksum = '', record = json_set(record, '$.ref', 'other')`,
      "data-broken",
    ],
    [
      "of a newer Keyturn",
      `UPDATE records SET checksum = '', record = json_set(record, '$.schema', 2)`,
      "schema-newer",
    ],
  ])("a record %s is told, and not acted upon", async (_, sql, code) => {
    await journal.save(newRecord("app/db"), undefined);
    behindItsBack(sql);
    await expect(journal.load("app/db")).rejects.toMatchObject({ code, disposition: "halt" });
  });

  test.each([
    ["report", "UPDATE agents SET report = '{}'"],
    ["report that is not JSON", "UPDATE agents SET report = 'x'"],
    ["hold times", "UPDATE agents SET hold_seen_at = 'x'"],
  ])("an agent's broken %s is told", async (_, sql) => {
    const report = { ref: "app/db", agent: "a", fleet: "f", sequence: 1, inUse: [], holds: [] };
    await journal.report([report], 1);
    behindItsBack(sql);
    await expect(journal.agents("app/db")).rejects.toMatchObject({ code: "data-broken" });
  });

  test("two that have it open see each other's saves, and one of them conflicts", async () => {
    const other = await openJournal(path, false);
    const revision = await journal.save(newRecord("app/db"), undefined);
    await other.save({ ...newRecord("app/db"), epoch: 2 }, revision);
    await expect(journal.save({ ...newRecord("app/db"), epoch: 3 }, revision)).rejects.toMatchObject({
      code: "conflict",
    });
    expect((await journal.load("app/db"))?.record.epoch).toBe(2);
    other[Symbol.dispose]();
  });

  test("after it was closed it fails: it must not look empty", async () => {
    journal[Symbol.dispose]();
    const closed = { code: "journal-unavailable", disposition: "retry" };
    await expect(journal.load("app/db")).rejects.toMatchObject(closed);
    await expect(journal.agents("app/db")).rejects.toMatchObject(closed);
    await expect(journal.save(newRecord("app/db"), undefined)).rejects.toMatchObject(closed);
  });
});
