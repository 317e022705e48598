import { createHash } from "node:crypto";
import type { CreateTableCommandInput } from "@aws-sdk/client-dynamodb";
import { KeyturnError } from "../core/errors.ts";

/** The index of what is due: an item that has no time is not in it. */
export const dueIndex = "due";

/** What may vanish has a time here, in seconds; nothing else has. */
export const expiryAttribute = "expiresAt";

/** The journal's table, as whoever makes it wants it: docs/decisions says why it is laid out so. */
export const journalTable = {
  KeySchema: [
    { AttributeName: "pk", KeyType: "HASH" },
    { AttributeName: "sk", KeyType: "RANGE" },
  ],
  AttributeDefinitions: [
    { AttributeName: "pk", AttributeType: "S" },
    { AttributeName: "sk", AttributeType: "S" },
    { AttributeName: "dueShard", AttributeType: "S" },
    { AttributeName: "dueAt", AttributeType: "N" },
  ],
  GlobalSecondaryIndexes: [
    {
      IndexName: dueIndex,
      KeySchema: [
        { AttributeName: "dueShard", KeyType: "HASH" },
        { AttributeName: "dueAt", KeyType: "RANGE" },
      ],
      Projection: { ProjectionType: "INCLUDE", NonKeyAttributes: ["ref"] },
    },
  ],
  BillingMode: "PAY_PER_REQUEST",
} satisfies Omit<CreateTableCommandInput, "TableName">;

/** Every save of a record that is due moves an entry of the index, and a partition takes a thousand writes a second. */
export const dueShards: readonly string[] = shards("due", 4);

/** Ten thousand agents of one secret report some 700 times a second, all of them within seconds of a rotation. */
const agentShards = 8;

export interface Key {
  readonly pk: { readonly S: string };
  readonly sk: { readonly S: string };
}

export function recordKey(ref: string): Key {
  return key(`secret#${ref}`, "record");
}

/** One partition lists them all: it is written once in a secret's life. */
export const refsPartition = "refs";

export function refKey(ref: string): Key {
  return key(refsPartition, `ref#${ref}`);
}

export function dueShardOf(ref: string): string {
  return `due#${shardOf(ref, dueShards.length)}`;
}

/** Until when a secret's next look has been ordered. */
export function wakeKey(ref: string): Key {
  return key(`secret#${ref}`, "wake");
}

/** The partitions of everybody who reports on a secret. */
export function agentPartitions(ref: string): readonly string[] {
  return shards("agents", agentShards).map((shard) => `${shard}#${ref}`);
}

export function agentKey(ref: string, agent: string): Key {
  return key(`agents#${shardOf(agent, agentShards)}#${ref}`, `agent#${agent}`);
}

/** It is there where a fingerprint has places: whoever looks for thousands asks for a hundred of these at once. */
export function fingerprintKey(fingerprint: string): Key {
  return key(`fingerprint#${fingerprint}`, "known");
}

/** The sort keys of its places, and of nothing else in a fingerprint's partition, begin with this. */
export const placePrefix = "place#";

export function placeKey(fingerprint: string, ref: string, version: string, field: string): Key {
  // As JSON no part can be taken for a piece of another one.
  return key(`fingerprint#${fingerprint}`, `${placePrefix}${JSON.stringify([ref, version, field])}`);
}

/** DynamoDB's own limits, in bytes: whoever runs into them should read which name is too long. */
const partitionKeyMax = 2048;
const sortKeyMax = 1024;

function key(pk: string, sk: string): Key {
  for (const [text, most] of [
    [pk, partitionKeyMax],
    [sk, sortKeyMax],
  ] as const) {
    if (Buffer.byteLength(text) <= most) continue;
    const [kind, name = ""] = text.split(/#(.*)/s);
    throw new KeyturnError(
      "input-invalid",
      `the name of the ${kind} that begins with ${name.slice(0, 60)} is longer than the ${most} bytes that DynamoDB takes for a key`,
    );
  }
  return { pk: { S: pk }, sk: { S: sk } };
}

function shards(kind: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, shard) => `${kind}#${shard}`);
}

function shardOf(name: string, count: number): number {
  return createHash("sha256").update(name).digest().readUInt32BE() % count;
}
