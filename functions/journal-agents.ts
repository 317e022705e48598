import {
  ConditionalCheckFailedException,
  DeleteItemCommand,
  PutItemCommand,
  UpdateItemCommand,
} from "@aws-sdk/client-dynamodb";
import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import { AgentReport, type AgentState, hear } from "../core/fleet.ts";
import type { Journal } from "../core/ports.ts";
import {
  allOf,
  asking,
  type Item,
  type JournalTable,
  nameOf,
  numeric,
  query,
  text,
} from "./journal-calls.ts";
import { agentKey, agentPartitions, expiryAttribute } from "./journal-table.ts";

/** Whoever was silent for so long is dropped by the table itself, should nobody ask for it: core forgets after a week. */
const keptForMs = 30 * 86_400_000;
/** Tries against other reports of the same agent that come at the same time. */
const triesMax = 20;
/** What one agent may say: DynamoDB takes 400 KB for an item. */
const reportMax = 256 * 1024;

/** The latest word of each agent is an item, in one of a few partitions of its secret. */
export function agentsIn(table: JournalTable): Pick<Journal, "report" | "agents" | "forgetAgents"> {
  return {
    report: async (reports, now) => {
      await asking("keeping what agents report", () =>
        allOf(newestOf(reports), (report) => keep(table, report, now)),
      );
    },
    agents: async (ref) => {
      const found = await asking(`reading the agents of ${ref}`, () =>
        allOf(agentPartitions(ref), (value) =>
          query(table, { attribute: "pk", value }, { ConsistentRead: true }),
        ),
      );
      return found.flat().map(readAgentItem);
    },
    forgetAgents: async (ref, before) => {
      const ExpressionAttributeValues = { ":before": { N: String(before) } };
      await asking(`forgetting agents of ${ref}`, async () => {
        const found = await allOf(agentPartitions(ref), (value) =>
          query(
            table,
            { attribute: "pk", value },
            {
              ConsistentRead: true,
              FilterExpression: "seenAt < :before",
              ExpressionAttributeValues,
              ProjectionExpression: "pk, sk",
            },
          ),
        );
        await allOf(found.flat(), (Key) =>
          unlessMoved(
            table.client.send(
              new DeleteItemCommand({
                TableName: table.name,
                Key,
                // It may have come back meanwhile.
                ConditionExpression: "seenAt < :before",
                ExpressionAttributeValues,
              }),
            ),
          ),
        );
      });
    },
  };
}

/** Of the reports of one agent on one secret only the last one is its latest word. */
function newestOf(reports: readonly AgentReport[]): readonly AgentReport[] {
  const newest = new Map<string, AgentReport>();
  for (const report of reports) {
    const name = JSON.stringify([report.ref, report.agent]);
    const known = newest.get(name);
    if (known === undefined || known.sequence < report.sequence) newest.set(name, report);
  }
  return [...newest.values()];
}

/** Mostly an agent says what it said before: that is one write, and no read. Else what is there comes back with the refusal. */
async function keep(table: JournalTable, report: AgentReport, now: number): Promise<void> {
  if (Buffer.byteLength(JSON.stringify(report)) > reportMax) {
    throw new KeyturnError(
      "input-invalid",
      `the report of ${report.agent} on ${report.ref} is larger than ${reportMax} bytes: it has ${report.holds.length} holds`,
    );
  }
  let met = await sayAgain(table, report, now);
  for (let tries = 1; met !== "kept"; tries += 1) {
    const known = met && readAgentItem(met);
    const state = hear(known, report, now);
    if (state === undefined) return;
    if (tries === triesMax) {
      throw new KeyturnError("conflict", `${report.agent} reports on ${report.ref} from many places at once`);
    }
    met = await put(table, state, known);
  }
}

type Met = "kept" | Item | undefined;

/** Where the agent has adopted and holds what it did before, the times of that stay as they are. */
function sayAgain({ client, name }: JournalTable, report: AgentReport, now: number): Promise<Met> {
  const { sequence, seenAt, report: said, standing, [expiryAttribute]: expiry } = attributesOf(report, now);
  return unlessMoved(
    client.send(
      new UpdateItemCommand({
        TableName: name,
        Key: { ...agentKey(report.ref, report.agent) },
        UpdateExpression: `SET #sequence = :sequence, seenAt = :seenAt, report = :report, ${expiryAttribute} = :expiry`,
        ConditionExpression: "#sequence < :sequence AND standing = :standing",
        ExpressionAttributeNames: { "#sequence": "sequence" },
        ExpressionAttributeValues: {
          ":sequence": sequence,
          ":seenAt": seenAt,
          ":report": said,
          ":standing": standing,
          ":expiry": expiry,
        },
        ReturnValuesOnConditionCheckFailure: "ALL_OLD",
      }),
    ),
  );
}

function put({ client, name }: JournalTable, state: AgentState, known: AgentState | undefined): Promise<Met> {
  const { adoptedAt, holdSeenAt, seenAt, ...report } = state;
  const condition =
    known === undefined
      ? { ConditionExpression: "attribute_not_exists(pk)" }
      : {
          ConditionExpression: "#sequence = :known",
          ExpressionAttributeNames: { "#sequence": "sequence" },
          ExpressionAttributeValues: { ":known": { N: String(known.sequence) } },
        };
  return unlessMoved(
    client.send(
      new PutItemCommand({
        TableName: name,
        Item: {
          ...agentKey(report.ref, report.agent),
          ...attributesOf(report, seenAt),
          holdSeenAt: { S: JSON.stringify(holdSeenAt) },
          ...(adoptedAt === undefined ? {} : { adoptedAt: { N: String(adoptedAt) } }),
        },
        ...condition,
        ReturnValuesOnConditionCheckFailure: "ALL_OLD",
      }),
    ),
  );
}

function attributesOf(report: AgentReport, now: number) {
  const { adopted = null, holds, sequence } = report;
  return {
    sequence: { N: String(sequence) },
    seenAt: { N: String(now) },
    report: { S: JSON.stringify(report) },
    standing: { S: JSON.stringify([adopted, ...holds.map(({ id }) => id).sort()]) },
    [expiryAttribute]: { N: String(Math.ceil((now + keptForMs) / 1000)) },
  };
}

/** What was there instead of what the condition asks for. */
async function unlessMoved(call: Promise<unknown>): Promise<Met> {
  try {
    await call;
    return "kept";
  } catch (thrown) {
    if (thrown instanceof ConditionalCheckFailedException) return thrown.Item;
    throw thrown;
  }
}

const AgentItem = z.object({
  report: text,
  seenAt: numeric,
  adoptedAt: z.optional(numeric),
  holdSeenAt: text,
});
const Times = z.record(z.string(), z.number());

function readAgentItem(item: Item): AgentState {
  try {
    const { report, seenAt, adoptedAt, holdSeenAt } = AgentItem.parse(item);
    return {
      ...AgentReport.parse(JSON.parse(report.S)),
      seenAt: Number(seenAt.N),
      adoptedAt: adoptedAt && Number(adoptedAt.N),
      holdSeenAt: Times.parse(JSON.parse(holdSeenAt.S)),
    };
  } catch {
    throw new KeyturnError("data-broken", `the journal's table: the item ${nameOf(item)} cannot be read`);
  }
}
