import { inspect } from "node:util";
import { SQSClient } from "@aws-sdk/client-sqs";
import { expect, test } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import { StrictQueues } from "../integration/aws/strict-queues.ts";
import { openDeadLetters } from "./dead-letters.ts";

test("a message is put aside as it came, with its reason beside it", async () => {
  await using model = await new StrictQueues().start();
  model.queues.set("dead", { attributes: {}, tags: {}, messages: [] });
  const client = new SQSClient(model.config);
  const letters = openDeadLetters(client, `${model.base}dead`);
  await letters.put("{", new KeyturnError("input-invalid", `not an event: \u0000\u0007${"x".repeat(2_000)}`));
  const [message] = model.queues.get("dead")?.messages ?? [];
  expect(message?.body).toBe("{");
  expect(message?.attributes.code).toEqual({ DataType: "String", StringValue: "input-invalid" });
  expect(message?.attributes.reason?.StringValue).toMatch(/^not an event: ��x{900,}$/);
  client.destroy();
});

test("a message that cannot be put aside is told so, without a word of AWS's", async () => {
  await using model = await new StrictQueues().start();
  const client = new SQSClient(model.config);
  const letters = openDeadLetters(client, `${model.base}missing`);
  const thrown: unknown = await letters
    .put("{", new KeyturnError("input-invalid", "no"))
    .catch((one: unknown) => one);
  expect(thrown).toMatchObject({ code: "bus-unavailable", disposition: "retry" });
  expect(inspect(thrown, { depth: 9 })).not.toContain("canary");
  client.destroy();
});
