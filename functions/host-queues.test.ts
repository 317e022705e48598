import { inspect } from "node:util";
import { SNSClient } from "@aws-sdk/client-sns";
import { SQSClient } from "@aws-sdk/client-sqs";
import { describe, expect, test } from "vitest";
import { type HostMessage, hostQueueName } from "../core/host-messages.ts";
import { StrictQueues } from "../integration/aws/strict-queues.ts";
import { HostQueues } from "./host-queues.ts";
import { type Host, hostOf } from "./host-speaker.ts";

const hour = 3_600_000;
const day = 24 * hour;
/** A time at which the sweeper takes its turn. */
const now = 1_700_000_400_000;
const topic = "keyturn-prod-web";

function hostNamed(session: string): Host {
  const principal = `AROAEXAMPLE:${session}`;
  return hostOf({ fleet: "web", principal }, principal);
}
const host = hostNamed("i-1");
const nameOf = (one: Host) => hostQueueName("prod", one.fleet, one.host);
const queue = nameOf(host);

async function setUp() {
  const model = await new StrictQueues().start();
  model.topics.add(topic);
  const [sqs, sns] = [new SQSClient(model.config), new SNSClient(model.config)];
  const queues = new HostQueues({ sqs, sns, installation: "prod", queuesUrl: `${model.base}keyturn-prod-` });
  const close = async () => {
    sqs.destroy();
    sns.destroy();
    await model[Symbol.asyncDispose]();
  };
  return { model, queues, [Symbol.asyncDispose]: close };
}

/** What there is in the end, but for the times. */
function standing({ queues, subscriptions }: StrictQueues) {
  return {
    queues: [...queues].map(([name, { attributes, tags }]) => [
      name,
      attributes,
      Object.keys(tags).toSorted(),
    ]),
    subscriptions: [...subscriptions.values()].map((one) => [one.topic, one.queue]),
  };
}

describe("a host's queue", () => {
  test("is made, subscribed to the fleet's topic, and says whose it is", async () => {
    await using world = await setUp();
    await world.queues.make(host, now);
    const made = world.model.queues.get(queue);
    expect(made?.tags).toEqual({
      "keyturn:installation": "prod",
      "keyturn:fleet": "web",
      "keyturn:principal": "AROAEXAMPLE:i-1",
      "keyturn:host": "AROAEXAMPLE:i-1",
      "keyturn:heard": new Date(now).toISOString(),
    });
    world.model.publish(topic, "hello");
    expect(made?.messages).toMatchObject([{ body: "hello" }]);
    expect([...world.model.subscriptions.values()]).toMatchObject([
      { topic: `arn:aws:sns:eu-west-1:111122223333:${topic}`, queue },
    ]);
  });

  test("takes messages of its topic alone, and is read by its host alone", async () => {
    await using world = await setUp();
    await world.queues.make(host, now);
    const { Statement } = JSON.parse(world.model.queues.get(queue)?.attributes.Policy ?? "");
    expect(Statement).toMatchObject([
      {
        Effect: "Allow",
        Action: "sqs:SendMessage",
        Condition: { ArnEquals: { "aws:SourceArn": `arn:aws:sns:eu-west-1:111122223333:${topic}` } },
      },
      {
        Effect: "Deny",
        Principal: "*",
        Action: expect.arrayContaining(["sqs:ReceiveMessage", "sqs:DeleteMessage"]),
        Condition: { StringNotEquals: { "aws:userid": "AROAEXAMPLE:i-1" } },
      },
    ]);
  });

  test("is the same whoever makes it, how often, and at once", async () => {
    await using world = await setUp();
    await world.queues.make(host, now);
    const once = standing(world.model);
    await Promise.all(Array.from({ length: 5 }, () => world.queues.make(host, now)));
    expect(standing(world.model)).toEqual(once);
    expect(once.subscriptions).toHaveLength(1);
  });

  test.each(["CreateQueue", "Subscribe", "ListQueueTags"])(
    "whose making ended at %s, before or after, is whole the next time",
    async (operation) => {
      await using world = await setUp();
      await using whole = await setUp();
      await whole.queues.make(host, now);
      for (const fault of ["cut", "reply lost"]) {
        world.model.faults.set(operation, fault);
        await expect(world.queues.make(host, now)).rejects.toMatchObject({ code: "bus-unavailable" });
      }
      world.model.faults.clear();
      await world.queues.make(host, now);
      expect(standing(world.model)).toEqual(standing(whole.model));
    },
  );

  test("that an older version has made gets what this one asks for", async () => {
    await using world = await setUp();
    world.model.queues.set(queue, { attributes: { VisibilityTimeout: "1" }, tags: {}, messages: [] });
    await world.queues.make(host, now);
    expect(world.model.queues.get(queue)?.attributes).toMatchObject({ VisibilityTimeout: "30" });
  });

  test("notes when its host was heard, once an hour, and never an earlier time", async () => {
    await using world = await setUp();
    const heard = () => world.model.queues.get(queue)?.tags["keyturn:heard"];
    await world.queues.make(host, now);
    await world.queues.make(host, now + hour - 1);
    await world.queues.make(host, now - day);
    expect(heard()).toBe(new Date(now).toISOString());
    await world.queues.make(host, now + hour);
    expect(heard()).toBe(new Date(now + hour).toISOString());
    await world.queues.left(host, now + hour + 1);
    await world.queues.make(host, now);
    expect(heard()).toBe(new Date(now + hour).toISOString());
  });

  test("gets messages that say what they are", async () => {
    await using world = await setUp();
    await world.queues.make(host, now);
    const message: HostMessage = { say: "heard", answer: "a", refusedHolds: [] };
    expect(await world.queues.send(host, message)).toBe(true);
    const [sent] = world.model.queues.get(queue)?.messages ?? [];
    expect([JSON.parse(sent?.body ?? ""), sent?.attributes]).toEqual([
      message,
      { "keyturn-host": { DataType: "String", StringValue: "heard" } },
    ]);
    expect(await world.queues.send(hostNamed("nobody"), message)).toBe(false);
  });

  test.each([
    ["ThrottlingException", "throttled"],
    ["AccessDenied", "role-lacks-rights"],
    ["QueueDeletedRecently", "bus-unavailable"],
  ])("that cannot be made for %s is tried again, and no answer of AWS's is quoted", async (error, code) => {
    await using world = await setUp();
    world.model.faults.set("CreateQueue", error);
    const thrown: unknown = await world.queues.make(host, now).catch((one: unknown) => one);
    expect(thrown).toMatchObject({ code, disposition: "retry" });
    expect(inspect(thrown)).toContain("AROAEXAMPLE:i-1");
    expect(inspect(thrown, { depth: 9 })).not.toContain("canary");
  });
});

describe("the sweeper", () => {
  /** Hosts, each heard for the last time so long before now. */
  async function setUpHosts(silentForMs: Readonly<Record<string, number>>) {
    const world = await setUp();
    for (const [name, silent] of Object.entries(silentForMs))
      await world.queues.make(hostNamed(name), now - silent);
    const left = () =>
      Object.keys(silentForMs).filter((name) => world.model.queues.has(nameOf(hostNamed(name))));
    return { ...world, left };
  }

  test("removes the queue and the subscription of a host that was silent for days, and no other", async () => {
    await using world = await setUpHosts({ living: 0, slow: 3 * day - hour, gone: 3 * day + 1 });
    expect(await world.queues.sweep(now)).toEqual([nameOf(hostNamed("gone"))]);
    expect(world.left()).toEqual(["living", "slow"]);
    expect(world.model.subscriptions.size).toBe(2);
    expect(await world.queues.sweep(now)).toEqual([]);
  });

  test("removes nobody because the service has heard nobody, but for a month", async () => {
    await using world = await setUpHosts({ one: 20 * day, other: 20 * day + hour });
    expect(await world.queues.sweep(now)).toEqual([]);
    expect(await world.queues.sweep(now + 11 * day)).toHaveLength(2);
  });

  test("removes a host that said that it ends, after a while, unless it is back", async () => {
    await using world = await setUpHosts({ ended: 2 * hour, back: hour / 2, restarted: 2 * hour });
    const at = now - 11 * 60_000;
    for (const name of ["ended", "back"]) await world.queues.left(hostNamed(name), at);
    await world.queues.make(hostNamed("back"), at + 1);
    await world.queues.left(hostNamed("restarted"), now - 9 * 60_000);
    expect(await world.queues.sweep(now)).toEqual([nameOf(hostNamed("ended"))]);
    await expect(world.queues.left(hostNamed("never"), at)).resolves.toBeUndefined();
  });

  test("leaves alone what is not a host's of this installation, or has lost its marks", async () => {
    await using world = await setUpHosts({ living: 0 });
    const old = { "keyturn:installation": "prod", "keyturn:heard": new Date(0).toISOString() };
    const others = {
      "keyturn-prod-postgres-alternating-work": old,
      "keyturn-prod-deadbeef": old,
      "keyturn-prod-eu-web-0123456789abcdef": { ...old, "keyturn:installation": "prod-eu" },
      "keyturn-prod-web-0123456789abcdef": {},
      "keyturn-prod-web-1123456789abcdef": { "keyturn:installation": "prod" },
    };
    for (const [name, tags] of Object.entries(others)) {
      world.model.queues.set(name, { attributes: {}, tags, messages: [] });
    }
    expect(await world.queues.sweep(now)).toEqual([]);
    expect(world.model.queues.size).toBe(6);
  });

  test("that ended between subscription and queue goes on the next time", async () => {
    await using world = await setUpHosts({ living: 0, gone: 4 * day });
    world.model.faults.set("DeleteQueue", "cut");
    await expect(world.queues.sweep(now)).rejects.toMatchObject({ code: "bus-unavailable" });
    expect([world.model.subscriptions.size, world.left()]).toEqual([1, ["living", "gone"]]);
    world.model.faults.clear();
    expect(await world.queues.sweep(now)).toHaveLength(1);
    expect([world.model.subscriptions.size, world.left()]).toEqual([1, ["living"]]);
  });

  test("lets a host be that is heard while it is being removed, with its subscription", async () => {
    await using world = await setUpHosts({ living: 0, late: 4 * day });
    const tags = world.model.queues.get(nameOf(hostNamed("late")))?.tags;
    const subscribed = world.model.subscriptions.size;
    world.model.hooks.set("Unsubscribe", () =>
      Object.assign(tags ?? {}, { "keyturn:heard": new Date(now).toISOString() }),
    );
    expect(await world.queues.sweep(now)).toEqual([]);
    expect([world.model.subscriptions.size, world.left()]).toEqual([subscribed, ["living", "late"]]);
  });

  test("removes the queue of a fleet that is gone with its topic", async () => {
    await using world = await setUpHosts({ living: 0, gone: 4 * day });
    world.model.topics.clear();
    expect(await world.queues.sweep(now)).toHaveLength(1);
  });

  test("looks at all of a few every ten minutes, and of many at a share", async () => {
    await using world = await setUpHosts({ living: 0 });
    const looked = async (at: number) => {
      world.model.calls.length = 0;
      await world.queues.sweep(at);
      return world.model.calls.filter((call) => call === "ListQueueTags").length;
    };
    expect(await looked(now + 60_000)).toBe(0);
    expect(await looked(now + 600_000)).toBe(1);
    for (let count = 0; count < 999; count += 1) {
      const name = `keyturn-prod-web-00000000${count.toString(16).padStart(8, "0")}`;
      world.model.queues.set(name, { attributes: {}, tags: {}, messages: [] });
    }
    const shares = [];
    for (let turn = 0; turn < 5; turn += 1) shares.push(await looked(now + turn * 600_000));
    expect(Math.max(...shares)).toBeLessThan(250);
    expect(shares.reduce((sum, share) => sum + share)).toBe(1_000);
  });
});
