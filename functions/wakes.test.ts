import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { SQSClient } from "@aws-sdk/client-sqs";
import { expect, test } from "vitest";
import type { ManagedSecret } from "../core/ports.ts";
import { newRecord, type RotationRecord } from "../core/record.ts";
import { StrictQueues } from "../integration/aws/strict-queues.ts";
import { memoryJournal, steppedClock } from "../local/memory.ts";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { answer, refusal, type Scripted, scriptedService } from "./scripted-service.contract.ts";
import { openWakes } from "./wakes.ts";

const ref = "app/db";
const tries = { attempts: 0, notBefore: 0 };
const rotation = { id: "v2", kind: "rotate", urgent: false, requestedBy: "ann", startedAt: 0 } as const;
const grace: RotationRecord["state"] = {
  phase: "grace",
  rotation,
  since: 0,
  confirmAt: 0,
  refusals: 0,
  adopted: false,
  laggardsNamed: false,
  ...tries,
};
const retire: RotationRecord["state"] = { phase: "retire", rotation, since: 0, forced: false, ...tries };
const announce: RotationRecord["state"] = { phase: "announce", rotation, ...tries };

const managed: ManagedSecret = {
  ref,
  type: "model",
  config: {},
  admin: undefined,
  policy: defaultTestPolicy,
  fleets: ["web"],
  tenant: undefined,
};

/** A look was ordered already, for then. */
function taken(lookAt: number): Scripted {
  const Item = { pk: { S: "secret#app/db" }, sk: { S: "wake" }, lookAt: { N: String(lookAt) } };
  const body = { __type: "com.amazonaws.dynamodb#ConditionalCheckFailedException", message: "no", Item };
  return { status: 400, body };
}

async function setUp(state: RotationRecord["state"], said: Scripted = answer({})) {
  const table = await scriptedService(said);
  const model = await new StrictQueues().start();
  model.queues.set("keyturn-prod-model-work", { attributes: {}, tags: {}, messages: [] });
  const [client, sqs] = [new DynamoDBClient(table.config), new SQSClient(model.config)];
  const memory = memoryJournal();
  await memory.save({ ...newRecord(ref), state }, undefined);
  let loads = 0;
  const journal = {
    load: (name: string) => {
      loads += 1;
      return memory.load(name);
    },
  };
  const clock = steppedClock(10_000);
  const wakes = openWakes({
    table: { client, name: "journal" },
    journal,
    secrets: { get: (name) => (name === ref ? managed : undefined) },
    sqs,
    queuesUrl: `${model.base}keyturn-prod-`,
    clock,
  });
  return {
    wakes,
    clock,
    asked: table.asked,
    loads: () => loads,
    ordered: () => model.queues.get("keyturn-prod-model-work")?.messages ?? [],
    [Symbol.asyncDispose]: async () => {
      client.destroy();
      sqs.destroy();
      await table[Symbol.asyncDispose]();
      await model[Symbol.asyncDispose]();
    },
  };
}

test.each([["grace", grace] as const, ["retire", retire] as const])(
  "a secret in %s is looked at after a window, however many of its agents speak",
  async (_, state) => {
    await using world = await setUp(state);
    for (let agent = 0; agent < 1_000; agent += 1) await world.wakes.wake(ref);
    expect(world.ordered()).toMatchObject([{ body: JSON.stringify({ ref }), delaySeconds: 5 }]);
    expect([world.asked.length, world.loads()]).toEqual([1, 1]);
    expect(world.asked[0]).toMatchObject({
      operation: "UpdateItem",
      input: {
        Key: { pk: { S: "secret#app/db" }, sk: { S: "wake" } },
        ExpressionAttributeValues: {
          ":now": { N: "10000" },
          ":lookAt": { N: "15000" },
          ":expiry": { N: "3615" },
        },
      },
    });
    world.clock.advance(4_999);
    await world.wakes.wake(ref);
    expect(world.ordered()).toHaveLength(1);
    world.clock.advance(1);
    await world.wakes.wake(ref);
    expect(world.ordered()).toHaveLength(2);
  },
);

test("a look that another process has ordered is enough, and not asked for until it is over", async () => {
  await using world = await setUp(grace, taken(12_000));
  await world.wakes.wake(ref);
  world.clock.advance(1_999);
  await world.wakes.wake(ref);
  expect([world.asked.length, world.ordered().length]).toEqual([1, 0]);
  world.clock.advance(1);
  await world.wakes.wake(ref);
  expect(world.asked).toHaveLength(2);
});

test("a secret that waits for no agent is left alone, and asked about once a second", async () => {
  await using world = await setUp(announce);
  for (let agent = 0; agent < 1_000; agent += 1) await world.wakes.wake(ref);
  await world.wakes.wake("no/such");
  expect([world.loads(), world.asked.length, world.ordered().length]).toEqual([1, 0, 0]);
  world.clock.advance(1_000);
  await world.wakes.wake(ref);
  expect(world.loads()).toBe(2);
});

test("a look that cannot be ordered is an error that says so", async () => {
  await using throttled = await setUp(grace, refusal("ThrottlingException"));
  await expect(throttled.wakes.wake(ref)).rejects.toMatchObject({
    code: "throttled",
    message: "the journal's table: ordering a look at app/db: ThrottlingException",
  });
});
