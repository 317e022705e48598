import { SQSClient } from "@aws-sdk/client-sqs";
import { expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { answer, refusal, scriptedService } from "./scripted-service.contract.ts";
import { workQueues } from "./work-queues.ts";

const { ports, managed } = memoryPorts(modelTarget().bothLive);
const prefix = "https://sqs.eu-west-1.amazonaws.com/111122223333/keyturn-prod-";
const sent = answer({ MessageId: "m", MD5OfMessageBody: "d4eb12f6363b4ae1bb6e6a8a0ab3a0b0" });

test("work goes to the queue of the secret's type, now or after a while that SQS can wait", async () => {
  await using service = await scriptedService(sent);
  const client = new SQSClient({ ...service.config, md5: false });
  const queues = workQueues({ client, prefix, secrets: ports.secrets });
  await queues.order("app/db");
  await queues.order("app/db", 1_500);
  await queues.order("app/db", 86_400_000);
  await queues.order("no/such");
  const message = { QueueUrl: `${prefix}${managed.type}-work`, MessageBody: '{"ref":"app/db"}' };
  expect(service.asked.map(({ input }) => input)).toEqual([
    { ...message, DelaySeconds: 0 },
    { ...message, DelaySeconds: 2 },
    { ...message, DelaySeconds: 900 },
  ]);
});

test("what SQS refuses is told by its name alone", async () => {
  await using service = await scriptedService(refusal("AccessDeniedException"));
  const queues = workQueues({ client: new SQSClient(service.config), prefix, secrets: ports.secrets });
  await expect(queues.order("app/db")).rejects.toMatchObject({ code: "role-lacks-rights" });
  await expect(queues.order("app/db")).rejects.not.toThrow("canary");
});
