import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { sampleChain } from "../core/audit-log.contract.ts";
import { newRecord, type RotationRecord } from "../core/record.ts";
import { readRecordItem, recordItem } from "./journal-record.ts";

const ref = "app/db";
const record = (changes: Partial<RotationRecord> = {}): RotationRecord => ({ ...newRecord(ref), ...changes });

/** While the audit is down its entries stay in the record. */
function waiting(entries: number): RotationRecord {
  return record({ outbox: { entries: [...sampleChain(ref, entries)], events: [], attempts: 9 } });
}

/** Words that no deflating makes shorter. */
const noise = (bytes: number) => randomBytes(bytes).toString("base64");

describe("a record as an item", () => {
  test("is in the index of what is due only with a time", () => {
    expect(recordItem(record(), 1, "me")).not.toHaveProperty("dueAt");
    expect(recordItem(record(), 1, "me")).not.toHaveProperty("dueShard");
    expect(recordItem(record({ dueAt: 250.5 }), 1, "me")).toMatchObject({
      dueAt: { N: "250.5" },
      dueShard: { S: expect.stringMatching(/^due#[0-3]$/) },
    });
  });

  test.each([
    ["small: as JSON that a person can read", record({ epoch: 3 }), "S"],
    ["with 2,000 entries that wait for the audit: deflated", waiting(2_000), "B"],
  ])("is read as it was written, %s", (_, written, kind) => {
    const item = recordItem(written, 7, "me");
    expect(Object.keys(item.record ?? {})).toEqual([kind]);
    expect(readRecordItem(item, ref)).toEqual({ record: written, revision: 7 });
  });

  test("stays far below DynamoDB's 400 KB with 2,000 entries that wait for the audit", () => {
    const written = waiting(2_000);
    expect(JSON.stringify(written).length).toBeGreaterThan(500_000);
    expect(recordItem(written, 7, "me").record?.B?.length).toBeLessThan(200_000);
  });

  test.each([
    ["an outbox that the audit does not take", waiting(20_000), "audit-unavailable", "20000 entries"],
    [
      "anything else",
      record({ compromised: [{ version: "v1", reportedBy: noise(500_000), at: 1 }] }),
      "journal-unavailable",
      "0 entries",
    ],
  ])("too large for DynamoDB says why: %s", (_, written, code, said) => {
    expect(() => recordItem(written, 7, "me")).toThrow(expect.objectContaining({ code }));
    expect(() => recordItem(written, 7, "me")).toThrow(said);
  });

  const good = recordItem(record(), 1, "me");
  test.each([
    ["of another secret", recordItem({ ...record(), ref: "app/other" }, 1, "me"), "data-broken"],
    ["that is no JSON", { ...good, record: { S: "{" } }, "data-broken"],
    ["that is no deflated JSON", { ...good, record: { B: Buffer.from("{") } }, "data-broken"],
    ["that lacks its revision", { record: good.record ?? { S: "" } }, "data-broken"],
    ["that lacks a field", { ...good, record: { S: '{"schema":1}' } }, "data-broken"],
    ["of a newer Keyturn", { ...good, record: { S: '{"schema":2}' } }, "schema-newer"],
  ])("%s is told, and not acted upon", (_, item, code) => {
    expect(() => readRecordItem(item, ref)).toThrow(expect.objectContaining({ code, disposition: "halt" }));
  });
});
