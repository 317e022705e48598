import { DynamoDBClient, ScanCommand, UpdateItemCommand } from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sampleChain } from "../../core/audit-log.contract.ts";
import { describeJournal, type OpenedJournal } from "../../core/journal.contract.ts";
import type { Journal } from "../../core/ports.ts";
import { newRecord, type RotationRecord } from "../../core/record.ts";
import { openJournal } from "../../functions/journal.ts";
import type { JournalTable } from "../../functions/journal-calls.ts";
import { recordItem } from "../../functions/journal-record.ts";
import { agentKey, expiryAttribute, type Key, recordKey, refKey } from "../../functions/journal-table.ts";
import { type DynamodbLocal, startDynamodbLocal } from "./dynamodb-local.ts";
import { newJournalTable, putAll } from "./journal-tables.ts";
import { startLossyProxy } from "./lossy-proxy.ts";

let dynamodb: DynamodbLocal;
beforeAll(async () => {
  dynamodb = await startDynamodbLocal();
});
afterAll(() => dynamodb[Symbol.asyncDispose]());

const newTable = () => newJournalTable(dynamodb.config);

function openOn({ name }: JournalTable): OpenedJournal {
  const client = new DynamoDBClient(dynamodb.config);
  const journal = openJournal({ client, name });
  return {
    journal,
    close: async () => client.destroy(),
    reopen: async () => openOn({ client, name }),
  };
}

describeJournal("the journal on DynamoDB", async () => openOn(await newTable()));

/** A journal, and what it asks DynamoDB. */
async function counted() {
  const table = await newTable();
  const asked: { readonly name: string; readonly answer: Answer }[] = [];
  table.client.middlewareStack.add(
    (next, context) => async (call) => {
      Object.assign(call.input, { ReturnConsumedCapacity: "TOTAL" });
      const result = await next(call);
      asked.push({ name: context.commandName ?? "", answer: Object(result.output) });
      return result;
    },
    { step: "initialize" },
  );
  return { table, journal: openJournal(table), asked };
}

/** What of an answer tells its cost. */
interface Answer {
  readonly Count?: number;
  readonly ScannedCount?: number;
  readonly ConsumedCapacity?: { readonly CapacityUnits?: number };
}

const ref = "app/db";
const record = (changes: Partial<RotationRecord> = {}): RotationRecord => ({ ...newRecord(ref), ...changes });
const report = (agent: string, sequence: number) => ({
  ref,
  agent,
  fleet: "agents",
  sequence,
  adopted: "v1",
  inUse: ["v1"],
  holds: [{ id: "h", version: "v1", since: 1 }],
});

describe("what the journal asks costs by what it finds", () => {
  test("due: of 10,000 records those that are due are read, and only as many as are asked for", async () => {
    const { table, journal, asked } = await counted();
    const named = (at: number) => `app/${String(at).padStart(5, "0")}`;
    const dueAt = (at: number) => (at % 200 === 0 ? at : 1e12 + at);
    await putAll(
      table,
      Array.from({ length: 10_000 }, (_, at) => ({ ...newRecord(named(at)), dueAt: dueAt(at) })).flatMap(
        (one) => [recordItem(one, 1, "a test"), { ...refKey(one.ref), ref: { S: one.ref } }],
      ),
    );
    asked.splice(0);
    const due = await journal.due(1_000_000, 100);
    expect(due).toEqual(Array.from({ length: 50 }, (_, at) => named(at * 200)));
    const total = (count: (answer: Answer) => number | undefined) =>
      asked.reduce((sum, { answer }) => sum + (count(answer) ?? 0), 0);
    expect(total(({ ScannedCount }) => ScannedCount)).toBe(50);
    expect(total(({ ConsumedCapacity }) => ConsumedCapacity?.CapacityUnits)).toBeLessThanOrEqual(4);
    expect(asked).toHaveLength(4);

    asked.splice(0);
    expect(await journal.due(1_000_000, 5)).toEqual([0, 200, 400, 600, 800].map(named));
    expect(await journal.nextDueAt()).toBe(0);
    expect(total(({ ScannedCount }) => ScannedCount)).toBeLessThanOrEqual(4 * 5 + 4);

    asked.splice(0);
    expect(await journal.refs()).toHaveLength(10_000);
    expect(asked.length).toBeLessThan(5);
  });

  test("an agent that says what it said before: one write, and no read", async () => {
    const { journal, asked } = await counted();
    await journal.report([report("a", 1)], 100);
    asked.splice(0);
    await journal.report([report("a", 2)], 200);
    expect(asked.map(({ name }) => name)).toEqual(["UpdateItemCommand"]);
    const [state] = await journal.agents(ref);
    expect(state).toMatchObject({ sequence: 2, seenAt: 200, adoptedAt: 100, holdSeenAt: { h: 100 } });
  });

  test("3,000 fingerprints of which one is known: thirty looks, and one at its places", async () => {
    const { journal, asked } = await counted();
    await journal.remember(ref, "v1", { password: "k1:77" });
    asked.splice(0);
    const readings = Array.from({ length: 3_000 }, (_, at) => `k1:${at}`);
    expect(await journal.identify(readings)).toEqual([{ ref, version: "v1", field: "password" }]);
    expect(asked.map(({ name }) => name).filter((name) => name === "QueryCommand")).toHaveLength(1);
    expect(asked).toHaveLength(31);
  });
});

test("six hundred agents of one secret, reporting a hundred at a time, are all there", async () => {
  const table = await newTable();
  const journal = openJournal(table);
  const names = Array.from({ length: 600 }, (_, at) => `host-${at}`);
  const said = (at: number) => names.slice(at * 100, (at + 1) * 100).map((name) => report(name, 1));
  await Promise.all(Array.from({ length: 6 }, (_, at) => journal.report(said(at), 100)));
  const states = await journal.agents(ref);
  expect(new Set(states.map(({ agent }) => agent))).toEqual(new Set(names));
  await journal.report([report("host-7", 2)], 200);
  await journal.forgetAgents(ref, 200);
  expect((await journal.agents(ref)).map(({ agent }) => agent)).toEqual(["host-7"]);
});

describe("what comes between a look at an agent and a change of it", () => {
  /** A journal that lets something happen before its first call of that name. */
  async function interrupted(command: string, between: (other: Journal) => Promise<void>) {
    const table = await newTable();
    const other = openJournal({ client: new DynamoDBClient(dynamodb.config), name: table.name });
    let happened = false;
    table.client.middlewareStack.add(
      (next, { commandName }) =>
        async (call) => {
          if (commandName === command && !happened) {
            happened = true;
            await between(other);
          }
          return next(call);
        },
      { step: "initialize" },
    );
    return { journal: openJournal(table), other, happened: () => happened };
  }

  test("is not overwritten by an older report", async () => {
    const { journal, other, happened } = await interrupted("PutItemCommand", (one) =>
      one.report([{ ...report("a", 9), adopted: "v9" }], 900),
    );
    await other.report([{ ...report("a", 1), adopted: "v1" }], 100);
    await journal.report([{ ...report("a", 2), adopted: "v2" }], 200);
    expect(happened()).toBe(true);
    expect(await journal.agents(ref)).toMatchObject([{ sequence: 9, adopted: "v9", adoptedAt: 900 }]);
  });

  test("is not forgotten", async () => {
    const { journal, other, happened } = await interrupted("DeleteItemCommand", (one) =>
      one.report([report("a", 2)], 900),
    );
    await other.report([report("a", 1)], 100);
    await journal.forgetAgents(ref, 500);
    expect(happened()).toBe(true);
    expect(await journal.agents(ref)).toMatchObject([{ sequence: 2, seenAt: 900 }]);
  });
});

describe("a reply that is lost", () => {
  /** A journal behind a wire that can lose replies; another on the same table. */
  async function lossy() {
    const table = await newTable();
    const proxy = await startLossyProxy(dynamodb.port);
    const client = new DynamoDBClient({ ...dynamodb.config, endpoint: proxy.endpoint });
    return {
      proxy,
      journal: openJournal({ client, name: table.name }),
      other: openJournal(table),
      [Symbol.asyncDispose]: async () => {
        client.destroy();
        await proxy[Symbol.asyncDispose]();
      },
    };
  }

  test.each([
    ["a creation", undefined],
    ["a change", 1],
  ])("of %s: it was our own, and no conflict", async (_, revision) => {
    await using opened = await lossy();
    const { journal, proxy } = opened;
    if (revision !== undefined) await journal.save(record(), undefined);
    proxy.lose(1);
    const next = await journal.save(record({ epoch: 2 }), revision);
    expect(proxy.lost).toBe(1);
    expect(next).toBe((revision ?? 0) + 1);
    expect(await journal.load(ref)).toMatchObject({ revision: next, record: { epoch: 2 } });
    await journal.save(record({ epoch: 3 }), next);
    expect(await journal.refs()).toEqual([ref]);
  });

  test.each([
    ["a creation", undefined],
    ["a change", 1],
  ])(
    "of %s, and of every try after it: nobody is told that it is saved, and whoever looks finds it",
    async (_, revision) => {
      await using opened = await lossy();
      const { journal, proxy, other } = opened;
      if (revision !== undefined) await journal.save(record(), undefined);
      proxy.lose(9);
      await expect(journal.save(record({ epoch: 2 }), revision)).rejects.toMatchObject({
        code: "journal-unavailable",
        disposition: "retry",
      });
      expect((await other.load(ref))?.record.epoch).toBe(2);
    },
  );

  test("of somebody's save does not make another's our own, though it says the same", async () => {
    await using opened = await lossy();
    const { journal, other, proxy } = opened;
    const revision = await other.save(record(), undefined);
    await other.save(record({ epoch: 2 }), revision);
    proxy.lose(1);
    await expect(journal.save(record({ epoch: 2 }), revision)).rejects.toMatchObject({ code: "conflict" });
  });

  test("of a report: it is kept once, with the time at which it came", async () => {
    await using opened = await lossy();
    const { journal, proxy } = opened;
    for (const sequence of [1, 2, 3]) {
      proxy.lose(1);
      await journal.report([report("a", sequence)], sequence * 100);
    }
    expect(proxy.lost).toBe(3);
    expect(await journal.agents(ref)).toEqual([
      { ...report("a", 3), seenAt: 300, adoptedAt: 100, holdSeenAt: { h: 100 } },
    ]);
  });
});

describe("what somebody else has written into the table", () => {
  const spoil = async ({ client, name }: JournalTable, key: Key, attribute: string): Promise<void> => {
    await client.send(
      new UpdateItemCommand({
        TableName: name,
        Key: { ...key },
        UpdateExpression: "SET #it = :it",
        ExpressionAttributeNames: { "#it": attribute },
        ExpressionAttributeValues: { ":it": { S: "{" } },
      }),
    );
  };
  const broken = { code: "data-broken", disposition: "halt" };

  test("into a record is told, and not acted upon", async () => {
    const table = await newTable();
    const journal = openJournal(table);
    await journal.save(record(), undefined);
    await spoil(table, recordKey(ref), "record");
    await expect(journal.load(ref)).rejects.toMatchObject(broken);
  });

  test.each(["report", "holdSeenAt"])("into an agent's %s is told", async (attribute) => {
    const table = await newTable();
    const journal = openJournal(table);
    await journal.report([report("a", 1)], 1);
    await spoil(table, agentKey(ref, "a"), attribute);
    await expect(journal.agents(ref)).rejects.toMatchObject(broken);
  });
});

test("a record with thousands of entries that wait for the audit is kept and changed", async () => {
  const journal = openJournal(await newTable());
  const waiting = record({ outbox: { entries: [...sampleChain(ref, 3_000)], events: [], attempts: 5 } });
  const revision = await journal.save(waiting, undefined);
  expect((await journal.load(ref))?.record).toEqual(waiting);
  await journal.save(record(), revision);
  expect((await journal.load(ref))?.record).toEqual(record());
});

test("only what agents say has a time to vanish, a month after their last word", async () => {
  const table = await newTable();
  const journal = openJournal(table);
  await journal.save(record({ dueAt: 5 }), undefined);
  await journal.remember(ref, "v1", { password: "k1:p" });
  await journal.report([report("a", 1)], 1_700_000_000_000);
  await journal.report([report("a", 2)], 1_800_000_000_000);
  const { Items = [] } = await table.client.send(new ScanCommand({ TableName: table.name }));
  const mortal = Items.filter((item) => item[expiryAttribute] !== undefined);
  expect(Items).toHaveLength(5);
  expect(mortal.map((item) => [item.sk?.S, item[expiryAttribute]?.N])).toEqual([["agent#a", "1802592000"]]);
});
