import { inspect } from "node:util";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { describe, expect, test } from "vitest";
import type { AgentReport } from "../core/fleet.ts";
import type { Journal } from "../core/ports.ts";
import { newRecord } from "../core/record.ts";
import { openJournal } from "./journal.ts";
import { answer, refusal, type Scripted, scriptedService } from "./scripted-service.contract.ts";

async function journalOn(first: Scripted, ...more: readonly Scripted[]) {
  const service = await scriptedService(first, ...more);
  const client = new DynamoDBClient(service.config);
  const journal = openJournal({ client, name: "journal" });
  return {
    journal,
    asked: service.asked,
    [Symbol.asyncDispose]: async () => {
      client.destroy();
      await service[Symbol.asyncDispose]();
    },
  };
}

const ref = "app/db";
const report = (agent: string): AgentReport => ({
  ref,
  agent,
  fleet: "f",
  sequence: 1,
  inUse: [],
  holds: [],
});

/** Every call of the journal. */
const calls: Readonly<Record<string, (journal: Journal) => Promise<unknown>>> = {
  "loading app/db": (journal) => journal.load(ref),
  "saving app/db": (journal) => journal.save(newRecord(ref), 4),
  "saving app/db, the first time": (journal) => journal.save(newRecord(ref), undefined),
  "asking what is due": (journal) => journal.due(5, 5),
  "asking what is due next": (journal) => journal.nextDueAt(),
  "listing the secrets": (journal) => journal.refs(),
  "keeping what agents report": (journal) => journal.report([report("a")], 1),
  "reading the agents of app/db": (journal) => journal.agents(ref),
  "forgetting agents of app/db": (journal) => journal.forgetAgents(ref, 5),
  "remembering the fingerprints of app/db": (journal) => journal.remember(ref, "v1", { password: "k1:p" }),
  "looking for fingerprints": (journal) => journal.identify(["k1:p"]),
};

describe.each(Object.entries(calls))("%s", (doing, call) => {
  test.each([
    ["there is no table", refusal("ResourceNotFoundException"), "journal-unavailable"],
    ["too much is asked", refusal("ProvisionedThroughputExceededException"), "throttled"],
    ["the account is throttled", refusal("ThrottlingException"), "throttled"],
    ["the role may not", refusal("AccessDeniedException"), "role-lacks-rights"],
    ["DynamoDB is broken", refusal("InternalServerError", "canary", 500), "journal-unavailable"],
    ["nobody answers", "hangs up" as const, "journal-unavailable"],
  ])("throws where %s, and never looks empty", async (_, said, code) => {
    await using opened = await journalOn(said);
    const thrown: unknown = await call(opened.journal).then(
      () => "nothing",
      (error: unknown) => error,
    );
    expect(thrown).toMatchObject({ code, disposition: "retry" });
    expect(inspect(thrown)).toContain(`the journal's table: ${doing.replace(/,.*/, "")}`);
    expect(inspect(thrown, { depth: 9 })).not.toContain("canary");
  });
});

describe("a record that is created", () => {
  const cancelled = (...codes: readonly string[]): Scripted => ({
    status: 400,
    body: {
      __type: "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
      CancellationReasons: codes.map((Code) => ({ Code })),
    },
  });
  test.each([
    ["was created by somebody else", cancelled("ConditionalCheckFailed", "None"), "conflict"],
    ["is written by somebody else at this moment", cancelled("TransactionConflict", "None"), "conflict"],
    ["meets a list that is written at this moment", cancelled("None", "TransactionConflict"), "conflict"],
    ["is throttled", cancelled("None", "ThrottlingError"), "throttled"],
    ["exceeds what was bought", cancelled("ProvisionedThroughputExceeded", "None"), "throttled"],
    ["is none that DynamoDB takes", cancelled("ValidationError", "None"), "journal-unavailable"],
  ])("%s", async (_, said, code) => {
    await using opened = await journalOn(said);
    await expect(opened.journal.save(newRecord(ref), undefined)).rejects.toMatchObject({ code });
  });

  test("by two at once: the change of one meets the creation of another", async () => {
    await using opened = await journalOn(refusal("TransactionConflictException"));
    await expect(opened.journal.save(newRecord(ref), 1)).rejects.toMatchObject({ code: "conflict" });
  });
});

describe("agents that report together", () => {
  test("are all tried although one fails, and whoever sent them learns of it", async () => {
    await using opened = await journalOn(answer({}), refusal("ThrottlingException"), answer({}));
    const reports = Array.from({ length: 100 }, (_, at) => report(`host-${at}`));
    await expect(opened.journal.report(reports, 1)).rejects.toMatchObject({ code: "throttled" });
    expect(opened.asked.filter(({ operation }) => operation === "UpdateItem")).toHaveLength(100);
  });

  test("from many places under one name are told so, in the end", async () => {
    const item = {
      report: { S: JSON.stringify({ ...report("a"), sequence: 0 }) },
      seenAt: { N: "1" },
      holdSeenAt: { S: "{}" },
    };
    const body = { __type: "com.amazonaws#ConditionalCheckFailedException", Item: item };
    await using opened = await journalOn({ status: 400, body });
    await expect(opened.journal.report([report("a")], 1)).rejects.toMatchObject({ code: "conflict" });
  });

  test("one with more holds than an item has room for is refused, and says so", async () => {
    await using opened = await journalOn(answer({}));
    const holds = Array.from({ length: 6_000 }, (_, at) => ({ id: `hold-${at}`, version: "v1", since: 1 }));
    const thrown = opened.journal.report([{ ...report("a"), holds }], 1);
    await expect(thrown).rejects.toMatchObject({ code: "input-invalid" });
    await expect(thrown).rejects.toThrow("6000 holds");
    expect(opened.asked).toEqual([]);
  });
});

describe("fingerprints that are looked for", () => {
  const key = (at: number) => ({ pk: { S: `fingerprint#${at}` }, sk: { S: "known" } });
  const left = (...keys: readonly unknown[]): Scripted =>
    answer({ Responses: {}, UnprocessedKeys: { journal: { Keys: keys } } });

  test("are asked for again where DynamoDB leaves some for later", async () => {
    await using opened = await journalOn(left(key(1), key(2)), left(key(2)), answer({ Responses: {} }));
    expect(await opened.journal.identify(["0", "1", "2"])).toEqual([]);
    expect(opened.asked.map(({ input }) => JSON.stringify(input).split('"known"').length - 1)).toEqual([
      3, 2, 1,
    ]);
  });

  test("that DynamoDB always leaves for later are not unknown: it throws", async () => {
    await using opened = await journalOn(left(key(1)));
    await expect(opened.journal.identify(["1"])).rejects.toMatchObject({ code: "throttled" });
  });
});
