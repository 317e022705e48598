import { randomUUID } from "node:crypto";
import { EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import {
  ListSubscriptionsByTopicCommand,
  PublishCommand,
  SNSClient,
  UnsubscribeCommand,
} from "@aws-sdk/client-sns";
import { GetQueueUrlCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { fleetTopicName, hostEvents, hostQueueName, hostSource } from "../../../core/host-messages.ts";
import { aged } from "./aged.ts";
import { eventsOf } from "./asking.ts";
import { Fleet, type Value } from "./fleet-of.ts";
import { keyturn } from "./keyturn.ts";
import { atRest, begun, current, letsIn, record, rotateSecret, tick } from "./stage.ts";

const { aws } = inject("installation");
const hostCount = 4;
const refs = { astray: "astray/db", rolled: "rolled/db", twice: "twice/db" };
const [sns, sqs, bus] = [new SNSClient(aws), new SQSClient(aws), new EventBridgeClient(aws)];

let astray: Fleet;
let rolled: Fleet;
let first: Readonly<Record<keyof typeof refs, Value>>;

/** The three have nothing to do with one another: their first values are made at once. */
beforeAll(async () => {
  [astray, rolled] = await Promise.all([
    Fleet.open("astray", refs.astray),
    Fleet.open("rolled", refs.rolled),
  ]);
  const [one, two, three] = await Promise.all([begun(refs.astray), begun(refs.rolled), begun(refs.twice)]);
  first = { astray: one, rolled: two, twice: three };
  astray.processes.start("astray", hostCount);
  rolled.processes.start("rolled", hostCount);
}, 300_000);

afterAll(async () => {
  await astray[Symbol.asyncDispose]();
  await rolled[Symbol.asyncDispose]();
});

async function rotated(ref: string): Promise<Value> {
  const token = randomUUID();
  await rotateSecret(ref, token);
  const found = await current(ref);
  expect(found?.version).toBe(token);
  return { version: token, value: found?.value ?? "" };
}

/** What was published of a rotation, as it is in the log of all events. */
async function eventOf(version: string): Promise<string> {
  const lines = await eventsOf(refs.astray);
  const found = lines.find((line) => line.includes("secret.rotated.v1") && line.includes(version));
  if (found === undefined) throw new Error(`the log has no event of ${version}`);
  return JSON.stringify(JSON.parse(found).detail);
}

const topicArn = () => `arn:aws:sns:${aws.region}:000000000000:${fleetTopicName("shown", "astray")}`;

const publish = (Message: string) => sns.send(new PublishCommand({ TopicArn: topicArn(), Message }));

/** From now on this host hears nothing of rotations. */
async function deafen(host: string): Promise<void> {
  const { Subscriptions = [] } = await sns.send(
    new ListSubscriptionsByTopicCommand({ TopicArn: topicArn() }),
  );
  const queue = hostQueueName("shown", "astray", host);
  const found = Subscriptions.filter(({ Endpoint = "" }) => Endpoint.endsWith(`:${queue}`));
  expect(found).toHaveLength(1);
  for (const { SubscriptionArn } of found) await sns.send(new UnsubscribeCommand({ SubscriptionArn }));
}

test("a host whose events are lost adopts by its pulse, and the rotation waits for it", async () => {
  await astray.allUse(first.astray, hostCount);
  const [deaf = ""] = astray.processes.hosts();
  await deafen(deaf);
  const after = await rotated(refs.astray);
  await astray.allUse(after, hostCount);
  await atRest(refs.astray);
  expect([await letsIn(first.astray.value), await letsIn(after.value)]).toEqual([false, true]);
  expect(await astray.nothingFailed()).toBeGreaterThan(hostCount);
}, 300_000);

test("events that come twice, late, in another order, or from whoever may not send them change nothing but when a host reads", async () => {
  const before = await current(refs.astray);
  if (before === undefined) throw new Error("there is no value");
  const [, host = "", other = ""] = astray.processes.hosts();
  const old = await eventOf(before.version);
  const future = old.replaceAll(before.version, randomUUID());
  const { QueueUrl } = await sqs.send(
    new GetQueueUrlCommand({ QueueName: hostQueueName("shown", "astray", host) }),
  );
  const forged = ["no event", "{}", JSON.stringify({ detail: { version: "1" } }), future];
  for (const MessageBody of forged) await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody }));
  // IAM lets a host speak under its own source only; and under it nobody speaks for another host.
  const lie = { ref: refs.astray, agent: other, fleet: "astray", sequence: Number.MAX_SAFE_INTEGER };
  const report = { ...lie, adopted: randomUUID(), inUse: [], holds: [] };
  const Detail = JSON.stringify({ host: other, reports: [report], news: [refs.astray] });
  const entry = { EventBusName: "keyturn-shown", DetailType: hostEvents.reported, Detail };
  await bus.send(
    new PutEventsCommand({ Entries: [{ ...entry, Source: hostSource("astray", host.split("/")[0] ?? "") }] }),
  );
  const after = await rotated(refs.astray);
  await publish(future);
  await publish(old);
  const event = await eventOf(after.version);
  for (const message of [event, old, event]) await publish(message);
  await astray.allUse(after, hostCount);
  await atRest(refs.astray);
  expect([await letsIn(before.value), await letsIn(after.value)]).toEqual([false, true]);
  await astray.allUse(after, hostCount);
  const { done, failed } = await astray.processes.queries();
  expect({ failed, isAsked: done > hostCount }).toEqual({ failed: 0, isAsked: true });
  // The host says what it has thrown away, and that is all that it says.
  for (const line of astray.processes.errors) expect(line).toMatch(/event/);
}, 300_000);

test("`keyturn rollback` in grace brings the hosts back to the old login, and the new one is refused in the end", async () => {
  await rolled.allUse(first.rolled, hostCount);
  const after = await rotated(refs.rolled);
  await rolled.allUse(after, hostCount);
  const { code, stdout, stderr } = await keyturn(["rollback", refs.rolled, "--json"]);
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toContain(refs.rolled);
  await expect.poll(async () => (await record(refs.rolled))?.state.phase, { timeout: 60_000 }).toBe("grace");
  const back = await current(refs.rolled);
  expect(back?.version).not.toBe(after.version);
  expect(JSON.parse(back?.value ?? "{}")).toEqual(JSON.parse(first.rolled.value));
  await rolled.allUse({ version: back?.version ?? "", value: back?.value ?? "{}" }, hostCount);
  await atRest(refs.rolled);
  expect([await letsIn(first.rolled.value), await letsIn(after.value)]).toEqual([true, false]);
  expect(await rolled.nothingFailed()).toBeGreaterThan(hostCount);
}, 300_000);

test("two ticks and two workers at one moment make one rotation of what is due", async () => {
  await aged(refs.twice, 3_600_000);
  const QueueName = "keyturn-shown-postgres-alternating-work";
  const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName }));
  const work = () =>
    sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: JSON.stringify({ ref: refs.twice }) }));
  await Promise.all([tick(), tick(), work(), work()]);
  await expect
    .poll(async () => (await current(refs.twice))?.version, { timeout: 120_000 })
    .not.toBe(first.twice.version);
  const rested = await atRest(refs.twice);
  const { stdout } = await keyturn(["audit", "export", refs.twice]);
  const begun = [...stdout.matchAll(/"action":"rotate.began".*?"detail":"(?<why>[^"]*)"/g)];
  expect(begun.map(({ groups }) => groups?.why)).toEqual(["requested by alice", "requested by schedule"]);
  expect(rested?.wish).toBeUndefined();
  const now = await current(refs.twice);
  expect([await letsIn(first.twice.value), await letsIn(now?.value)]).toEqual([false, true]);
}, 300_000);
