import { randomUUID } from "node:crypto";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { ListQueuesCommand, SQSClient } from "@aws-sdk/client-sqs";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, test, vi } from "vitest";
import type { AgentState } from "../../../core/fleet.ts";
import { openJournal } from "../../../functions/journal.ts";
import { HostProcesses } from "../stack/host-processes.ts";
import { begun, current, letsIn, record, rotateSecret, tick } from "./stage.ts";

const { aws, postgres } = inject("installation");
const [installation, fleet, ref] = ["shown", "web", "fleet/db"];
const [processCount, hostsEach, cacheTtlMs] = [5, 10, 24_000];
/** Besides those of one process that ends before anything is rotated. */
const hostCount = processCount * hostsEach;

const { host, port, ca, superuser } = postgres;
const database = new pg.Client({
  ...{ host, port, ssl: { ca }, database: "postgres" },
  ...{ user: superuser.username, password: superuser.password },
});
const sqs = new SQSClient(aws);
const journal = openJournal({ client: new DynamoDBClient(aws), name: "keyturn-shown-journal" });
const hosts = new HostProcesses({ aws, installation, fleet, ref, ca });

interface Value {
  readonly version: string;
  readonly value: string;
}
let first: Value;

beforeAll(() => database.connect());
afterAll(async () => {
  hosts.kill();
  await database.end();
});

function usernameOf({ value }: Value): string {
  return JSON.parse(value).username;
}

/** Sessions that are open with a value's login, as the server knows them. */
async function sessionsOf(value: Value): Promise<number> {
  const asked = "SELECT count(*)::int AS count FROM pg_stat_activity WHERE usename = $1";
  const { rows } = await database.query(asked, [usernameOf(value)]);
  return rows[0].count;
}

async function now(): Promise<Value> {
  const found = await current(ref);
  if (found === undefined) throw new Error("there is no value");
  return found;
}

function uses({ adopted, inUse }: AgentState, version: string): boolean {
  return adopted === version && inUse.every((one) => one === version);
}

/** All hosts say that they use this and nothing else, and the server has their sessions. Those that have left are not of them. */
async function allUse(value: Value, { hosts = hostCount, left = 0 } = {}): Promise<void> {
  const stand = async () => {
    const agents = await journal.agents(ref);
    return {
      left: agents.filter(({ leaving }) => leaving === true).length,
      using: agents.filter((one) => one.leaving !== true && uses(one, value.version)).length,
      sessions: await sessionsOf(value),
    };
  };
  await expect
    .poll(stand, { timeout: 90_000, interval: 250 })
    .toEqual({ left, using: hosts, sessions: hosts });
}

/** How long after a moment the hosts had a version: half of them, and all. */
function lagsSince(moment: number): { readonly median: number; readonly last: number } {
  const lags = hosts.lagsSince(moment);
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
  await vi.waitUntil(isAtRest, { timeout: 60_000, interval: 1_000 });
  expect([await letsIn(old.value), await letsIn(successor.value)]).toEqual([false, true]);
  expect([await sessionsOf(old), await sessionsOf(successor)]).toEqual([0, hostCount]);
}

async function nothingFailed(): Promise<void> {
  const { done, failed } = await hosts.queries();
  console.log(`queries of ${hostCount} hosts: ${done}, ${failed} failed`);
  expect({ failed, errors: hosts.errors }).toEqual({ failed: 0, errors: [] });
  expect(done).toBeGreaterThan(hostCount);
}

test("hosts enrol at the installation, each with a queue of its own, and log in with what they read", async () => {
  first = await begun(ref);
  for (let index = 0; index <= processCount; index += 1) hosts.start(`p${index}`, hostsEach);
  const all = hostCount + hostsEach;
  await allUse(first, { hosts: all });
  expect(hosts.hosts()).toHaveLength(all);
  const QueueNamePrefix = `keyturn-${installation}-${fleet}-`;
  const { QueueUrls } = await sqs.send(new ListQueuesCommand({ QueueNamePrefix, MaxResults: 1000 }));
  expect(QueueUrls).toHaveLength(all);
  await nothingFailed();
}, 300_000);

test("hosts that end say so, and have no session any more", async () => {
  expect(await hosts.end(hosts.children.splice(processCount))).toEqual([0]);
  await allUse(first, { left: hostsEach });
}, 300_000);

test("RotateSecret, four invocations, an event: all 50 adopt and release, nobody waits for who has left, the tick retires, the old value is refused, and no query fails", async () => {
  const before = await now();
  const token = randomUUID();
  await rotateSecret(ref, token);
  const after = await now();
  expect(after.version).toBe(token);
  await allUse(after, { left: hostsEach });
  const { median, last } = lagsSince(await since(token));
  console.log(`adoption at ${hostCount} hosts by the event: median ${median} ms, last ${last} ms`);
  // By the pulse alone half of them would have it after six seconds.
  expect(median).toBeLessThan(cacheTtlMs / 4);
  await retires(before, after);
  await nothingFailed();
}, 300_000);
