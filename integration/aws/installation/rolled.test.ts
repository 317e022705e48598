import { GetQueueUrlCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aged } from "./aged.ts";
import { Fleet, type Value } from "./fleet-of.ts";
import { installation } from "./installation.ts";
import { keyturn } from "./keyturn.ts";
import { atRest, begun, current, letsIn, record, rotated, tick } from "./stage.ts";

const hostCount = 4;
const refs = { rolled: "rolled/db", twice: "twice/db" };
const sqs = new SQSClient(installation.aws);

let rolled: Fleet;
let first: Readonly<Record<keyof typeof refs, Value>>;

/** The two have nothing to do with one another: their first values are made at once. */
beforeAll(async () => {
  rolled = await Fleet.open("rolled", refs.rolled);
  const [one, two] = await Promise.all([begun(refs.rolled), begun(refs.twice)]);
  first = { rolled: one, twice: two };
  rolled.processes.start("rolled", hostCount);
}, 300_000);

afterAll(() => rolled[Symbol.asyncDispose]());

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
