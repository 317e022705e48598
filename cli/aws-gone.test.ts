import { SQSClient } from "@aws-sdk/client-sqs";
import { expect, test } from "vitest";
import { StrictQueues } from "../integration/aws/strict-queues.ts";
import { warnIfGone } from "./aws-gone.ts";

test("that a stack is gone is said, and nothing where it is there or cannot be asked for", async () => {
  await using queues = await new StrictQueues().start();
  const client = new SQSClient({ ...queues.config, maxAttempts: 1 });
  const said: string[] = [];
  const look = () => warnIfGone(client, "keyturn-prod-incidents", "prod", (text) => said.push(text));
  await look();
  expect(said).toEqual([expect.stringContaining("the stack of the store prod is gone: nobody")]);
  queues.faults.set("GetQueueUrl", "AccessDeniedException");
  await look();
  queues.faults.delete("GetQueueUrl");
  queues.queues.set("keyturn-prod-incidents", { attributes: {}, tags: {}, messages: [] });
  await look();
  expect(said).toHaveLength(1);
  client.destroy();
});
