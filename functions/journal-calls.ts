import { setTimeout as sleep } from "node:timers/promises";
import {
  type AttributeValue,
  BatchGetItemCommand,
  type DynamoDBClient,
  paginateQuery,
  type QueryCommandInput,
} from "@aws-sdk/client-dynamodb";
import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import { inParallel } from "../core/parallel.ts";
import { type AwsPart, translateAws } from "./aws-errors.ts";
import type { Key } from "./journal-table.ts";

/** The table that holds the journal. */
export interface JournalTable {
  readonly client: DynamoDBClient;
  readonly name: string;
}

export type Item = Record<string, AttributeValue>;

/** Attributes as DynamoDB spells them. */
export const text = z.object({ S: z.string() });
export const numeric = z.object({ N: z.string() });

/** What an item says. One that says something else was written by somebody else. */
export function readItem<Read>(schema: { safeParse(item: Item): { data?: Read } }, item: Item): Read {
  const { data } = schema.safeParse(item);
  if (data !== undefined) return data;
  throw new KeyturnError("data-broken", `${part.name}: the item ${nameOf(item)} cannot be read`);
}

export function nameOf({ pk, sk }: Item): string {
  return `${pk?.S ?? ""} ${sk?.S ?? ""}`;
}

const part: AwsPart = { name: "the journal's table", outage: "journal-unavailable" };

/** Calls at once: as many as the SDK has connections for. */
const callsAtOnce = 50;

/** Does it, and says what was done where DynamoDB will not have it. */
export async function asking<Result>(doing: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (thrown) {
    throw translateAws(thrown, part, doing);
  }
}

/** What is in a partition, the whole of it where there is no limit. */
export async function query(
  { client, name }: JournalTable,
  partition: { readonly attribute: string; readonly value: string },
  input: Partial<QueryCommandInput> = {},
): Promise<readonly Item[]> {
  const { KeyConditionExpression: more, ExpressionAttributeValues: values, Limit: most } = input;
  const found: Item[] = [];
  const pages = paginateQuery(
    { client },
    {
      ...input,
      TableName: name,
      KeyConditionExpression: `${partition.attribute} = :partition${more === undefined ? "" : ` AND ${more}`}`,
      ExpressionAttributeValues: { ":partition": { S: partition.value }, ...values },
    },
  );
  for await (const { Items = [] } of pages) {
    found.push(...Items);
    if (most !== undefined && found.length >= most) break;
  }
  return found;
}

const getMax = 100;
const roundsMax = 6;

/** Those of the items that are there. */
export async function getAll(table: JournalTable, keys: readonly Key[]): Promise<readonly Item[]> {
  const batches = Array.from({ length: Math.ceil(keys.length / getMax) }, (_, at) =>
    keys.slice(at * getMax, (at + 1) * getMax),
  );
  return (await allOf(batches, (batch) => getBatch(table, batch))).flat();
}

/** What DynamoDB leaves for later, because it is too much at once, is asked for again, a little later. */
async function getBatch({ client, name }: JournalTable, keys: readonly Key[]): Promise<readonly Item[]> {
  const found: Item[] = [];
  let left: Item[] = keys.map(({ pk, sk }) => ({ pk, sk }));
  for (let round = 0; left.length > 0; round += 1) {
    if (round === roundsMax) throw new KeyturnError("throttled", `${part.name}: it leaves what is asked for`);
    if (round > 0) await sleep(Math.random() * 50 * 2 ** round);
    const { Responses, UnprocessedKeys } = await client.send(
      new BatchGetItemCommand({ RequestItems: { [name]: { Keys: left, ConsistentRead: true } } }),
    );
    found.push(...(Responses?.[name] ?? []));
    left = UnprocessedKeys?.[name]?.Keys ?? [];
  }
  return found;
}

/** Works on all of them, some at once; one that fails keeps no other from its turn, and is thrown in the end. */
export async function allOf<One, Result>(
  items: readonly One[],
  work: (item: One) => Promise<Result>,
): Promise<readonly Result[]> {
  const settled = await inParallel(items, callsAtOnce, work);
  return settled.map((one) => {
    if (one.status === "rejected") throw one.reason;
    return one.value;
  });
}
