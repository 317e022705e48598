import { CreateTableCommand, DynamoDBClient, waitUntilTableExists } from "@aws-sdk/client-dynamodb";
import { CreateEventBusCommand, EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import * as z from "zod/mini";
import { openAuditLog } from "../functions/audit-log.ts";
import { callLimits } from "../functions/call-limits.ts";
import { openEventBus } from "../functions/event-bus.ts";
import { readFingerprinter } from "../functions/fingerprinter.ts";
import { openJournal } from "../functions/journal.ts";
import { journalTable } from "../functions/journal-table.ts";
import { awsSecretStore } from "../functions/secret-store.ts";
import { awsConfig } from "../integration/aws/aws-config.ts";
import { systemClock } from "../local/clock.ts";
import { systemRandom } from "../local/random.ts";
import { clientWithBoundaries } from "./aws-boundaries.ts";
import type { Address, Place } from "./place.ts";

/** One name for all that is a room's own: its table, its bus and its bucket. */
const Room = z.object({ name: z.string(), secrets: z.string(), table: z.string(), others: z.string() });
type Room = z.infer<typeof Room>;

const fingerprintKeys = "faults/fingerprints";

/**
 * The adapters that the functions of AWS work with, through the SDK: each call of the SDK is a boundary. Secrets Manager is the strict model of
 * `integration/aws/strict-secrets-manager`, a fake of ours that keeps the documented rules which emulators do not; the journal is in
 * DynamoDB Local, bus and audit are LocalStack's.
 */
export const awsPlace: Place = {
  title: "AWS",
  sources: ["functions", "integration/aws", "local/clock.ts", "local/random.ts"],
  share: 1,
  start: async () => {
    const { startEmulators } = await import("./aws-emulators.ts");
    const { endpoints, stop } = await startEmulators(fingerprintKeys);
    let rooms = 0;
    return {
      newRoom: async () => {
        rooms += 1;
        const room = { ...endpoints, name: `faults-${rooms}` };
        await furnish(room);
        return room;
      },
      [Symbol.asyncDispose]: stop,
    };
  },
  open: async (address: Address, meet) => {
    const room = z.parse(Room, address);
    const { secrets, table, events, objects } = clientsOf(room, callLimits);
    const fingerprinter = await readFingerprinter(secrets, fingerprintKeys);
    const all = [secrets, table, events, objects];
    if (meet !== undefined) for (const client of all) clientWithBoundaries(client, meet);
    return {
      ports: {
        installation: room.name,
        // Each secret is made where it is first put, so that a world of its own needs nobody to prepare it.
        store: awsSecretStore({
          client: secrets,
          clock: systemClock,
          log: () => undefined,
          create: { tags: {} },
        }),
        journal: openJournal({ client: table, name: room.name }),
        bus: openEventBus({ client: events, bus: room.name }),
        audit: openAuditLog({ client: objects, bucket: room.name }),
        random: systemRandom,
        fingerprinter,
      },
      [Symbol.asyncDispose]: async () => {
        for (const client of all) client.destroy();
      },
    };
  },
};

function clientsOf({ secrets, table, others }: Room, limits: Partial<typeof callLimits>) {
  return {
    secrets: new SecretsManagerClient({ ...limits, ...awsConfig(secrets) }),
    table: new DynamoDBClient({ ...limits, ...awsConfig(table) }),
    events: new EventBridgeClient({ ...limits, ...awsConfig(others) }),
    objects: new S3Client({ ...limits, ...awsConfig(others) }),
  };
}

async function furnish(room: Room): Promise<void> {
  // However long it takes: what is made here is not made twice.
  const { secrets, table, events, objects } = clientsOf(room, {});
  const { name } = room;
  await table.send(new CreateTableCommand({ TableName: name, ...journalTable }));
  await waitUntilTableExists(
    { client: table, maxWaitTime: 20, minDelay: 0.05, maxDelay: 0.5 },
    { TableName: name },
  );
  await events.send(new CreateEventBusCommand({ Name: name }));
  await objects.send(new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: true }));
  for (const client of [secrets, table, events, objects]) client.destroy();
}
