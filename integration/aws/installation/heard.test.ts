import { once } from "node:events";
import { EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { SNSClient } from "@aws-sdk/client-sns";
import {
  DeleteQueueCommand,
  GetQueueUrlCommand,
  ListQueuesCommand,
  SQSClient,
  TagQueueCommand,
} from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hostEvents, hostQueueName, hostSource } from "../../../core/host-messages.ts";
import { HostQueues } from "../../../functions/host-queues.ts";
import { agentsOf, uses, type Value } from "./fleet-of.ts";
import { HostProcesses } from "./host-processes.ts";
import { installation } from "./installation.ts";
import { putAside } from "./put-aside.ts";
import { begun, current, record, rotated } from "./stage.ts";

const { aws, gate } = installation;
const [fleet, ref, hostCount] = ["heard", "heard/db", 4];
/** Less than it takes until a host would read by its pulse. */
const within = { timeout: 120_000 };
const [sqs, bus] = [new SQSClient(aws), new EventBridgeClient(aws)];
const processes = new HostProcesses({ aws, script: installation.hosts, installation: "shown", fleet, ref });
const hosts = () => processes.hosts();
const say = (command: "hold" | "release") => processes.children[0]?.stdin?.write(`${command}\n`);

let first: Value;

beforeAll(async () => {
  first = await begun(ref);
  processes.start(fleet, hostCount);
}, 300_000);

afterAll(() => processes.kill());

const queueOf = (host: string) => hostQueueName("shown", fleet, host);

async function urlOf(QueueName: string): Promise<string> {
  return (await sqs.send(new GetQueueUrlCommand({ QueueName }))).QueueUrl ?? "";
}

async function queues(): Promise<readonly string[]> {
  const QueueNamePrefix = `keyturn-shown-${fleet}-`;
  const { QueueUrls = [] } = await sqs.send(new ListQueuesCommand({ QueueNamePrefix, MaxResults: 1000 }));
  return QueueUrls.map((url) => url.slice(url.lastIndexOf("/") + 1)).toSorted();
}

/** So many hosts say that they use this, and nothing else. */
async function allUse({ version }: Value, count: number): Promise<void> {
  const using = async () => (await agentsOf(ref)).filter((agent) => uses(agent, version)).length;
  await expect.poll(using, within).toBe(count);
}

async function grace() {
  const state = (await record(ref))?.state;
  if (state?.phase !== "grace") throw new Error(`${ref} is in ${state?.phase}`);
  return state;
}

test("hosts are known by what they read, each has a queue of its own, and one whose queue was deleted enrols again", async () => {
  await allUse(first, hostCount);
  expect(hosts()).toHaveLength(hostCount);
  expect(new Set((await agentsOf(ref)).map(({ agent }) => agent))).toEqual(new Set(hosts()));
  const all = hosts().map(queueOf).toSorted();
  expect(await queues()).toEqual(all);
  const deprived = hosts().at(-1) ?? "";
  await sqs.send(new DeleteQueueCommand({ QueueUrl: await urlOf(queueOf(deprived)) }));
  await expect.poll(queues, within).toEqual(all);
}, 300_000);

test("what is forged or malformed is put aside with its reason, what is old is quiet, and neither keeps up the others", async () => {
  const [mine = "", other = ""] = hosts();
  const known = (await agentsOf(ref)).find(({ agent }) => agent === other);
  const report = { ref, agent: other, fleet, inUse: [], holds: [], sequence: Number.MAX_SAFE_INTEGER };
  const entry = (speaker: string, detail: object) => ({
    EventBusName: "keyturn-shown",
    Source: hostSource(fleet, speaker),
    DetailType: hostEvents.reported,
    Detail: JSON.stringify(detail),
  });
  const entries = [
    entry(other, { host: other, reports: [{ ...report, sequence: 1 }], news: [] }),
    entry(mine, { host: mine, reports: [report], news: [] }),
    entry(mine, { host: mine, reports: [{ ...report, agent: mine, fleet: "web" }], news: [] }),
    entry(mine, { nothing: true }),
  ];
  await bus.send(new PutEventsCommand({ Entries: entries }));
  const inTheirName = () => putAside("keyturn-shown-reports-dead", hostSource(fleet, ""));
  await expect
    .poll(inTheirName, { timeout: 60_000, interval: 1_500 })
    .toEqual([
      `access-denied: ${mine} of the fleet ${fleet} does not speak for "${other}"`,
      `access-denied: ${mine} of the fleet ${fleet} does not speak for the fleet "web"`,
      "input-invalid: not reports: host, reports, news",
    ]);
  expect((await agentsOf(ref)).find(({ agent }) => agent === other)).toMatchObject({
    adopted: known?.adopted,
    inUse: known?.inUse,
  });
}, 120_000);

test("a hold is granted by way of the queue, an event reaches all long before their pulse, and when the hold ends, the rotation is looked at because its host says so", async () => {
  say("hold");
  await expect.poll(() => processes.held, within).toEqual([first.version]);
  const holds = (await agentsOf(ref)).flatMap((agent) => agent.holds.map(({ version }) => version));
  expect(holds).toEqual([first.version]);
  const after = await rotated(ref);
  const adopted = async () => (await agentsOf(ref)).filter((agent) => agent.adopted === after.version).length;
  await expect.poll(adopted, within).toBe(hostCount);
  await allUse(after, hostCount - 1);
  const held = await grace();
  expect(held.adopted).toBe(false);
  say("release");
  await allUse(after, hostCount);
  const releasedAt = Date.now();
  await expect.poll(async () => (await grace()).adopted, within).toBe(true);
  // Without its word it is looked at when the new value is to be tried. Where LocalStack was slow to hand that on, this is too late to tell.
  expect(Date.now()).toBeLessThan(Math.max(held.confirmAt, releasedAt + 30_000));
}, 300_000);

test("hosts that have been silent for days are swept, and no other", async () => {
  const [heard = "", ...silent] = hosts();
  const [child] = processes.children;
  child?.kill("SIGKILL");
  if (child?.exitCode === null && child.signalCode === null) await once(child, "exit");
  // As the function that does it every ten minutes, by its rights.
  const asFunction = { ...aws, endpoint: gate, userAgentAppId: "keyturn-shown-schedule" };
  const [itsSqs, itsSns] = [new SQSClient(asFunction), new SNSClient(asFunction)];
  const queuesUrl = await urlOf("keyturn-shown-reports");
  const swept = new HostQueues({ sqs: itsSqs, sns: itsSns, installation: "shown", queuesUrl });
  const turn = Math.floor(Date.now() / 600_000) * 600_000;
  expect(await swept.sweep(turn)).toEqual([]);
  expect(await queues()).toHaveLength(hostCount);
  const Tags = { "keyturn:heard": new Date(Date.now() - 4 * 86_400_000).toISOString() };
  for (const host of silent)
    await sqs.send(new TagQueueCommand({ QueueUrl: await urlOf(queueOf(host)), Tags }));
  // The function itself may be at it, too.
  const sweep = async () => {
    await swept.sweep(turn);
    return queues();
  };
  await expect.poll(sweep, within).toEqual([queueOf(heard)]);
  expect(await swept.sweep(turn)).toEqual([]);
  expect(await queues()).toEqual([queueOf(heard)]);
}, 300_000);

test("no value was said by anybody", async () => {
  expect(processes.errors).toEqual([]);
  const said = JSON.stringify([...processes.seen, ...(await agentsOf(ref))]);
  const after = await current(ref);
  for (const { value } of [first, after ?? first]) expect(said).not.toContain(JSON.parse(value).password);
});
