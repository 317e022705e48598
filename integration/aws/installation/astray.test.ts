import { randomUUID } from "node:crypto";
import { EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import {
  ListSubscriptionsByTopicCommand,
  PublishCommand,
  SNSClient,
  UnsubscribeCommand,
} from "@aws-sdk/client-sns";
import { GetQueueUrlCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fleetTopicName, hostEvents, hostQueueName, hostSource } from "../../../core/host-messages.ts";
import { eventsOf } from "./asking.ts";
import { Fleet, type Value } from "./fleet-of.ts";
import { installation } from "./installation.ts";
import { atRest, begun, current, letsIn, rotated } from "./stage.ts";

const { aws } = installation;
const hostCount = 4;
const ref = "astray/db";
const [sns, sqs, bus] = [new SNSClient(aws), new SQSClient(aws), new EventBridgeClient(aws)];

let astray: Fleet;
let first: Value;

beforeAll(async () => {
  astray = await Fleet.open("astray", ref);
  first = await begun(ref);
  astray.processes.start("astray", hostCount);
}, 300_000);

afterAll(() => astray[Symbol.asyncDispose]());

/** What was published of a rotation, as it is in the log of all events. */
async function eventOf(version: string): Promise<string> {
  const lines = await eventsOf(ref);
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
  await astray.allUse(first, hostCount);
  const [deaf = ""] = astray.processes.hosts();
  await deafen(deaf);
  const after = await rotated(ref);
  await astray.allUse(after, hostCount);
  await atRest(ref);
  expect([await letsIn(first.value), await letsIn(after.value)]).toEqual([false, true]);
  expect(await astray.nothingFailed()).toBeGreaterThan(hostCount);
}, 300_000);

test("events that come twice, late, in another order, or from whoever may not send them change nothing but when a host reads", async () => {
  const before = await current(ref);
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
  const lie = { ref, agent: other, fleet: "astray", sequence: Number.MAX_SAFE_INTEGER };
  const report = { ...lie, adopted: randomUUID(), inUse: [], holds: [] };
  const Detail = JSON.stringify({ host: other, reports: [report], news: [ref] });
  const entry = { EventBusName: "keyturn-shown", DetailType: hostEvents.reported, Detail };
  await bus.send(
    new PutEventsCommand({ Entries: [{ ...entry, Source: hostSource("astray", host.split("/")[0] ?? "") }] }),
  );
  const after = await rotated(ref);
  await publish(future);
  await publish(old);
  const event = await eventOf(after.version);
  for (const message of [event, old, event]) await publish(message);
  await astray.allUse(after, hostCount);
  const seen = new Map(astray.processes.seen);
  for (const message of [event, future, old]) await publish(message);
  await atRest(ref);
  expect([await letsIn(before.value), await letsIn(after.value)]).toEqual([false, true]);
  await astray.allUse(after, hostCount);
  expect(astray.processes.seen).toEqual(seen);
  const { done, failed } = await astray.processes.queries();
  expect({ failed, isAsked: done > hostCount }).toEqual({ failed: 0, isAsked: true });
  // The host says what it has thrown away, and that is all that it says.
  for (const line of astray.processes.errors) expect(line).toMatch(/event/);
}, 300_000);
