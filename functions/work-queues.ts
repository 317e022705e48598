import { SendMessageCommand, type SQSClient } from "@aws-sdk/client-sqs";
import * as z from "zod/mini";
import type { Ports } from "../core/ports.ts";
import { type AwsPart, translateAws } from "./aws-errors.ts";

/** Work on one secret, as it stands in its type's queue. */
export const Work = z.object({ ref: z.string() });

const part: AwsPart = { name: "SQS", outage: "bus-unavailable" };

/** SQS holds a message back for no longer. */
const delayMaxSeconds = 900;

/** Orders work on secrets: each credential type has a queue, and a function that takes from it. */
export interface WorkQueues {
  /** Has a secret worked on after so long; at once, if nothing is said. Ordered twice, it is looked at twice. */
  order(ref: string, afterMs?: number): Promise<void>;
}

interface WorkQueuesOptions {
  readonly client: SQSClient;
  /** What the addresses of all of them begin with. */
  readonly prefix: string;
  readonly secrets: Pick<Ports["secrets"], "get">;
}

export function workQueues({ client, prefix, secrets }: WorkQueuesOptions): WorkQueues {
  return {
    order: async (ref, afterMs = 0) => {
      const type = secrets.get(ref)?.type;
      // What the manifest has no more is nobody's work.
      if (type === undefined) return;
      const message = new SendMessageCommand({
        QueueUrl: `${prefix}${type}-work`,
        MessageBody: JSON.stringify({ ref }),
        DelaySeconds: Math.min(delayMaxSeconds, Math.max(0, Math.ceil(afterMs / 1_000))),
      });
      await client.send(message).catch((thrown: unknown) => {
        throw translateAws(thrown, part, `ordering work on ${ref}`);
      });
    },
  };
}
