import { randomUUID } from "node:crypto";
import {
  ConditionalCheckFailedException,
  GetItemCommand,
  PutItemCommand,
  TransactionCanceledException,
  TransactionConflictException,
  TransactWriteItemsCommand,
} from "@aws-sdk/client-dynamodb";
import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import type { Journal } from "../core/ports.ts";
import { agentsIn } from "./journal-agents.ts";
import {
  allOf,
  asking,
  type Item,
  type JournalTable,
  numeric,
  query,
  readItem,
  text,
} from "./journal-calls.ts";
import { fingerprintsIn } from "./journal-fingerprints.ts";
import { readRecordItem, recordItem, savedBy } from "./journal-record.ts";
import { dueIndex, dueShards, recordKey, refKey, refsPartition } from "./journal-table.ts";

/** Records, agents' reports and fingerprints in one table of DynamoDB. What is read of a record, and of agents, is never stale; what is due may be: it is a hint. */
export function openJournal(table: JournalTable): Journal {
  return { ...recordsIn(table), ...agentsIn(table), ...fingerprintsIn(table) };
}

const DueItem = z.object({ ref: text, dueAt: numeric });
const RefItem = z.object({ ref: text });

function recordsIn(table: JournalTable): Pick<Journal, "load" | "save" | "due" | "nextDueAt" | "refs"> {
  /** The earliest of every shard, the earliest first. */
  const earliest = async (doing: string, Limit: number, until?: number) => {
    const bounded =
      until === undefined
        ? {}
        : {
            KeyConditionExpression: "dueAt <= :until",
            ExpressionAttributeValues: { ":until": { N: String(until) } },
          };
    const found = await asking(doing, () =>
      allOf(dueShards, (value) =>
        query(table, { attribute: "dueShard", value }, { IndexName: dueIndex, Limit, ...bounded }),
      ),
    );
    return found
      .flat()
      .map((item) => readItem(DueItem, item))
      .map(({ ref, dueAt }) => ({ ref: ref.S, dueAt: Number(dueAt.N) }))
      .sort((one, other) => one.dueAt - other.dueAt || (one.ref < other.ref ? -1 : 1));
  };
  return {
    load: async (ref) => {
      const { Item } = await asking(`loading ${ref}`, () =>
        table.client.send(
          new GetItemCommand({ TableName: table.name, Key: { ...recordKey(ref) }, ConsistentRead: true }),
        ),
      );
      return Item && readRecordItem(Item, ref);
    },
    save: async (record, expectedRevision) => {
      const revision = (expectedRevision ?? 0) + 1;
      const item = recordItem(record, revision, randomUUID());
      const saved = await asking(`saving ${record.ref}`, () =>
        expectedRevision === undefined
          ? create(table, record.ref, item)
          : replace(table, item, expectedRevision),
      );
      if (!saved) throw new KeyturnError("conflict", `the record of ${record.ref} has moved`);
      return revision;
    },
    due: async (now, limit) => {
      const found = await earliest("asking what is due", limit, now);
      return found.slice(0, limit).map(({ ref }) => ref);
    },
    nextDueAt: async () => (await earliest("asking what is due next", 1))[0]?.dueAt,
    refs: async () => {
      const items = await asking("listing the secrets", () =>
        query(table, { attribute: "pk", value: refsPartition }, { ConsistentRead: true }),
      );
      return items.map((item) => readItem(RefItem, item).ref.S).sort();
    },
  };
}

/** With its name in the list of all of them, or not at all. False: it is there already. */
async function create({ client, name: TableName }: JournalTable, ref: string, item: Item): Promise<boolean> {
  const record = {
    TableName,
    Item: item,
    ConditionExpression: "attribute_not_exists(pk)",
    ReturnValuesOnConditionCheckFailure: "ALL_OLD",
  } as const;
  const listed = { TableName, Item: { ...refKey(ref), ref: { S: ref } } };
  try {
    await client.send(new TransactWriteItemsCommand({ TransactItems: [{ Put: record }, { Put: listed }] }));
    return true;
  } catch (thrown) {
    if (!(thrown instanceof TransactionCanceledException)) throw thrown;
    const reasons = thrown.CancellationReasons ?? [];
    const codes = reasons.map(({ Code }) => Code);
    if (codes.includes("ConditionalCheckFailed")) return isOwn(reasons[0]?.Item, item);
    // Somebody else writes it at this moment.
    if (codes.includes("TransactionConflict")) return false;
    if (codes.some((code) => code === "ThrottlingError" || code === "ProvisionedThroughputExceeded")) {
      throw new KeyturnError("throttled", `the journal's table: saving ${ref}: ${codes.join(", ")}`);
    }
    throw thrown;
  }
}

/** False: it is at another revision. */
async function replace(
  { client, name: TableName }: JournalTable,
  item: Item,
  expected: number,
): Promise<boolean> {
  try {
    await client.send(
      new PutItemCommand({
        TableName,
        Item: item,
        ConditionExpression: "revision = :expected",
        ExpressionAttributeValues: { ":expected": { N: String(expected) } },
        ReturnValuesOnConditionCheckFailure: "ALL_OLD",
      }),
    );
    return true;
  } catch (thrown) {
    if (thrown instanceof TransactionConflictException) return false;
    if (thrown instanceof ConditionalCheckFailedException) return isOwn(thrown.Item, item);
    throw thrown;
  }
}

/** The SDK tries again where a reply was lost, and then meets what this very call has saved: that is no conflict. */
function isOwn(there: Item | undefined, mine: Item): boolean {
  return there !== undefined && savedBy(there) === savedBy(mine);
}
