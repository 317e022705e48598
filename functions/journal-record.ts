import { deflateRawSync, inflateRawSync } from "node:zlib";
import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import type { Loaded } from "../core/ports.ts";
import { parseRecord, type RotationRecord } from "../core/record.ts";
import { type Item, numeric, text } from "./journal-calls.ts";
import { dueShardOf, recordKey } from "./journal-table.ts";

/** From here on a record is deflated. It costs by the kilobyte, and grows while the audit is down: its outbox keeps every entry. */
const deflatedFrom = 16 * 1024;
/** DynamoDB takes items of 400 KB, names and all. */
const bytesMax = 400 * 1024 - 8 * 1024;

/** A record as an item. `savedBy` names the one call that saved it. */
export function recordItem(record: RotationRecord, revision: number, savedBy: string): Item {
  const { ref, dueAt } = record;
  const due = dueAt === null ? {} : { dueShard: { S: dueShardOf(ref) }, dueAt: { N: String(dueAt) } };
  return {
    ...recordKey(ref),
    ref: { S: ref },
    revision: { N: String(revision) },
    record: packed(record),
    savedBy: { S: savedBy },
    ...due,
  };
}

const RecordItem = z.object({
  revision: numeric,
  record: z.union([text, z.object({ B: z.instanceof(Uint8Array) })]),
  savedBy: text,
});

export function readRecordItem(item: Item, ref: string): Loaded {
  const parsed = RecordItem.safeParse(item);
  if (!parsed.success) throw broken(ref, "has not the attributes of a record");
  const { record: kept, revision } = parsed.data;
  const record = parseRecord(unpacked(kept, ref), ref);
  if (record.ref !== ref) throw broken(ref, `is that of ${record.ref}`);
  return { record, revision: Number(revision.N) };
}

/** Which call saved what is there. */
export function savedBy(item: Item | undefined): string | undefined {
  return item?.savedBy?.S;
}

function packed(record: RotationRecord): { S: string } | { B: Uint8Array } {
  const json = JSON.stringify(record);
  if (json.length < deflatedFrom) return { S: json };
  const bytes = deflateRawSync(json);
  if (bytes.length <= bytesMax) return { B: bytes };
  const waiting = record.outbox.entries.length;
  // The audit may be the reason: its entries leave the record as soon as it takes them.
  throw new KeyturnError(
    JSON.stringify(record.outbox.entries).length * 2 > json.length
      ? "audit-unavailable"
      : "journal-unavailable",
    `the record of ${record.ref} has grown to ${bytes.length} bytes, deflated, and DynamoDB takes ${bytesMax}; ${waiting} entries of it wait for the audit`,
  );
}

function unpacked(kept: z.infer<typeof RecordItem>["record"], ref: string): unknown {
  try {
    return JSON.parse("S" in kept ? kept.S : inflateRawSync(kept.B).toString("utf8"));
  } catch {
    throw broken(ref, "cannot be read");
  }
}

function broken(ref: string, problem: string): KeyturnError {
  return new KeyturnError("data-broken", `the journal's table: the record of ${ref} ${problem}`);
}
