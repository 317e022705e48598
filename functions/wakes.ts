import { ConditionalCheckFailedException, UpdateItemCommand } from "@aws-sdk/client-dynamodb";
import { SendMessageCommand, type SQSClient } from "@aws-sdk/client-sqs";
import * as z from "zod/mini";
import type { Clock, Journal, Ports } from "../core/ports.ts";
import { type AwsPart, translateAws } from "./aws-errors.ts";
import { asking, type JournalTable, numeric, readItem } from "./journal-calls.ts";
import { expiryAttribute, wakeKey } from "./journal-table.ts";

export interface WakesOptions {
  readonly table: JournalTable;
  readonly journal: Pick<Journal, "load">;
  readonly secrets: Pick<Ports["secrets"], "get">;
  readonly sqs: SQSClient;
  /** What the addresses of all queues of the installation begin with. */
  readonly queuesUrl: string;
  readonly clock: Pick<Clock, "now">;
}

/** Has a secret looked at whose agents have said something new. */
export interface Wakes {
  /** Only where a rotation waits for its agents, and once in some seconds for each secret, however many agents there are. */
  wake(ref: string): Promise<void>;
}

/** The look is at the end of a window, and so after every report of it: the last one is not overlooked. */
const windowMs = 5_000;
/** Whether a rotation waits for its agents is asked again after so long. */
const phaseForMs = 1_000;

/** What was found is remembered in this process; between processes the table decides. Whatever is missed, the tick finds. */
export function openWakes({ table, journal, secrets, sqs, queuesUrl, clock }: WakesOptions): Wakes {
  /** By reference, until when there is nothing to do. */
  const quietUntil = new Map<string, number>();
  return {
    wake: async (ref) => {
      const now = clock.now();
      const type = secrets.get(ref)?.type;
      if (type === undefined || now < (quietUntil.get(ref) ?? 0)) return;
      const phase = (await journal.load(ref))?.record.state.phase;
      if (phase !== "grace" && phase !== "retire") {
        quietUntil.set(ref, now + phaseForMs);
        return;
      }
      const others = await claim(table, ref, now);
      quietUntil.set(ref, others ?? now + windowMs);
      if (others !== undefined) return;
      await order(sqs, `${queuesUrl}${type}-work`, ref);
    },
  };
}

const Claimed = z.object({ lookAt: numeric });

/** One of all that ask within a window gets it: undefined. The others hear when the look is. */
async function claim(
  { client, name: TableName }: JournalTable,
  ref: string,
  now: number,
): Promise<number | undefined> {
  const lookAt = now + windowMs;
  const call = new UpdateItemCommand({
    TableName,
    Key: { ...wakeKey(ref) },
    UpdateExpression: `SET lookAt = :lookAt, ${expiryAttribute} = :expiry`,
    // A look that is further ahead than a window was ordered by a clock that was wrong.
    ConditionExpression: "attribute_not_exists(pk) OR NOT lookAt BETWEEN :now AND :lookAt",
    ExpressionAttributeValues: {
      ":lookAt": { N: String(lookAt) },
      ":now": { N: String(now) },
      ":expiry": { N: String(Math.ceil(lookAt / 1000) + 3_600) },
    },
    ReturnValuesOnConditionCheckFailure: "ALL_OLD",
  });
  return asking(`ordering a look at ${ref}`, async () => {
    try {
      await client.send(call);
      return undefined;
    } catch (thrown) {
      if (!(thrown instanceof ConditionalCheckFailedException) || thrown.Item === undefined) throw thrown;
      return Number(readItem(Claimed, thrown.Item).lookAt.N);
    }
  });
}

const part: AwsPart = { name: "SQS", outage: "bus-unavailable" };

async function order(sqs: SQSClient, QueueUrl: string, ref: string): Promise<void> {
  const MessageBody = JSON.stringify({ ref });
  await sqs
    .send(new SendMessageCommand({ QueueUrl, MessageBody, DelaySeconds: windowMs / 1000 }))
    .catch((thrown: unknown) => {
      throw translateAws(thrown, part, `ordering a look at ${ref}`);
    });
}
