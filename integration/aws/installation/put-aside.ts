import { GetQueueUrlCommand, ReceiveMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { installation } from "./installation.ts";

const sqs = new SQSClient(installation.aws);

/** What lies in a queue of dead letters with this in it: the code and the reason of each, sorted. */
export async function putAside(QueueName: string, mark: string): Promise<readonly string[]> {
  const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName }));
  // Whoever looks next sees them all again.
  const look = { QueueUrl, MaxNumberOfMessages: 10, MessageAttributeNames: ["All"], VisibilityTimeout: 1 };
  const reasons = new Map<string, string | undefined>();
  for (;;) {
    const { Messages = [] } = await sqs.send(new ReceiveMessageCommand(look));
    const more = Messages.filter(({ MessageId = "" }) => !reasons.has(MessageId));
    if (more.length === 0) break;
    for (const { MessageId = "", Body, MessageAttributes: said } of more)
      reasons.set(
        MessageId,
        Body?.includes(mark) ? `${said?.code?.StringValue}: ${said?.reason?.StringValue}` : undefined,
      );
  }
  return [...reasons.values()].filter((reason) => reason !== undefined).toSorted();
}
