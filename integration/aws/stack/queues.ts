import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { inject } from "vitest";

const sqs = new SQSClient(inject("localstack"));

interface Queue {
  readonly url: string;
  readonly arn: string;
}

export async function createQueue(name: string): Promise<Queue> {
  const { QueueUrl: url = "" } = await sqs.send(new CreateQueueCommand({ QueueName: name }));
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ["QueueArn"] }),
  );
  return { url, arn: Attributes?.QueueArn ?? "" };
}

/** Takes the next message from a queue; undefined if none comes within the time. */
export async function receive(queue: Queue, seconds = 10): Promise<unknown> {
  const { Messages: [message] = [] } = await sqs.send(
    new ReceiveMessageCommand({ QueueUrl: queue.url, WaitTimeSeconds: seconds }),
  );
  if (message?.ReceiptHandle === undefined) return undefined;
  await sqs.send(new DeleteMessageCommand({ QueueUrl: queue.url, ReceiptHandle: message.ReceiptHandle }));
  return JSON.parse(message.Body ?? "null");
}
