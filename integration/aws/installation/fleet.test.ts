import { randomUUID } from "node:crypto";
import { ListQueuesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Fleet, type Value } from "./fleet-of.ts";
import { installation } from "./installation.ts";
import { begun, current, letsIn, record, rotateSecret, tick } from "./stage.ts";

const [fleet, ref] = ["web", "fleet/db"];
const cacheTtlMs = 24_000;
/** So often a secret is looked at, however many hosts have something to say of it. */
const lookEveryMs = 5_000;
/** Each in a process of its own; besides those of one that ends before anything is rotated. */
const hostCount = 50;
const leavingCount = 2;
/** With all of them at once the processor would have nothing left for the functions that they and others ask. */
const startedAtOnce = 10;

const sqs = new SQSClient(installation.aws);
let web: Fleet;
let first: Value;

beforeAll(async () => {
  web = await Fleet.open(fleet, ref);
});
afterAll(() => web[Symbol.asyncDispose]());

async function now(): Promise<Value> {
  const found = await current(ref);
  if (found === undefined) throw new Error("there is no value");
  return found;
}

/** How long after a moment the hosts had a version: half of them, and all. */
function lagsSince(moment: number): { readonly median: number; readonly last: number } {
  const lags = web.processes.lagsSince(moment);
  return { median: lags[hostCount / 2] ?? Number.NaN, last: lags.at(-1) ?? Number.NaN };
}

/** When agents could read a version: its secret's record says when it was promoted. */
async function since(version: string): Promise<number> {
  const current = (await record(ref))?.current;
  expect(current?.version).toBe(version);
  return current?.since ?? Number.NaN;
}

/** The grace ends by the tick, and with it what was before. */
async function retires(old: Value, successor: Value): Promise<void> {
  const isAtRest = async () => {
    await tick();
    const found = await record(ref);
    return found?.state.phase === "idle" && found.debts.length === 0;
  };
  await vi.waitUntil(isAtRest, { timeout: 120_000, interval: 4_000 });
  expect([await letsIn(old.value), await letsIn(successor.value)]).toEqual([false, true]);
  expect([await web.sessionsOf(old), await web.sessionsOf(successor)]).toEqual([0, hostCount]);
}

async function nothingFailed(): Promise<void> {
  const done = await web.nothingFailed();
  console.log(`queries of the hosts: ${done}, none failed`);
  expect(done).toBeGreaterThan(hostCount);
}

test("hosts enrol at the installation, each with a queue of its own, and log in with what they read", async () => {
  first = await begun(ref);
  for (let started = 0; started < hostCount; ) {
    for (const end = Math.min(hostCount, started + startedAtOnce); started < end; started += 1)
      web.processes.start(`p${started}`, 1);
    await expect.poll(() => web.processes.hosts().length, { timeout: 120_000 }).toBe(started);
  }
  web.processes.start("leaving", leavingCount);
  const all = hostCount + leavingCount;
  await web.allUse(first, all);
  expect(web.processes.hosts()).toHaveLength(all);
  const QueueNamePrefix = `keyturn-shown-${fleet}-`;
  const { QueueUrls } = await sqs.send(new ListQueuesCommand({ QueueNamePrefix, MaxResults: 1000 }));
  expect(QueueUrls).toHaveLength(all);
  await nothingFailed();
}, 480_000);

test("hosts that end say so, and have no session any more", async () => {
  expect(await web.processes.end(web.processes.children.splice(hostCount))).toEqual([0]);
  await web.allUse(first, hostCount, leavingCount);
}, 480_000);

test("RotateSecret, four invocations, an event: all 50 processes adopt and release, which orders a few looks and not one each, nobody waits for who has left, the tick retires, the old value is refused, and no query fails", async () => {
  const before = await now();
  expect([...web.looks]).toEqual([]);
  const begunAt = Date.now();
  const token = randomUUID();
  await rotateSecret(ref, token);
  const after = await now();
  expect(after.version).toBe(token);
  await web.allUse(after, hostCount, leavingCount);
  expect(web.looks.size).toBeGreaterThan(0);
  expect(web.looks.size).toBeLessThanOrEqual((Date.now() - begunAt) / lookEveryMs + 1);
  const { median, last } = lagsSince(await since(token));
  console.log(`adoption at ${hostCount} hosts by the event: median ${median} ms, last ${last} ms`);
  // By the pulse alone, which comes at three quarters of the time to live, half of them would have it later.
  expect(median).toBeLessThan(cacheTtlMs / 4);
  await retires(before, after);
  await nothingFailed();
}, 480_000);
