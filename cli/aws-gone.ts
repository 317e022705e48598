import { GetQueueUrlCommand, QueueDoesNotExist, type SQSClient } from "@aws-sdk/client-sqs";

/** A stack that is destroyed leaves its journal. Whoever reads there that something is under way must not think that somebody sees to it. */
export async function warnIfGone(
  client: SQSClient,
  queue: string,
  store: string,
  warn: (text: string) => void,
): Promise<void> {
  try {
    await client.send(new GetQueueUrlCommand({ QueueName: queue }));
  } catch (thrown) {
    // That it cannot be asked for says nothing.
    if (!(thrown instanceof QueueDoesNotExist)) return;
    warn(
      `the stack of the store ${store} is gone: nobody rotates its secrets, ends what is under way, or sees to it that what is owed is refused; deploy it again, or manage them otherwise`,
    );
  }
}
