import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { InvokeCommand, LambdaClient } from "@aws-sdk/client-lambda";
import {
  CancelRotateSecretCommand,
  DescribeSecretCommand,
  SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import { beforeAll, expect, test, vi } from "vitest";
import { aged } from "./aged.ts";
import { linesOf, rotating } from "./asking.ts";
import type { Value } from "./fleet-of.ts";
import { installation } from "./installation.ts";
import { keyturn } from "./keyturn.ts";
import { hasEnded } from "./scenes.ts";
import { atRest, begun, current, letsIn, record, rotated, rotateSecret, tick } from "./stage.ts";
import { callsSince, wireOf } from "./steering.ts";

/** What people ask of a rotation beside its course, and what begins it without them. */
const refs = { paused: "paused/db", held: "held/db", driven: "driven/db", cancelled: "cancelled/db" };
const hourMs = 3_600_000;
const lambda = new LambdaClient(installation.aws);
const manager = new SecretsManagerClient(installation.aws);
const bridge = new EventBridgeClient(installation.aws);
let first: ReadonlyMap<string, Value>;

beforeAll(async () => {
  const all = Object.values(refs).map(async (ref): Promise<[string, Value]> => [ref, await begun(ref)]);
  first = new Map(await Promise.all(all));
}, 300_000);

async function done(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await keyturn(args);
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

/** By the tick, and by the function that rotates, as its queue asks it; when this resolves it has looked. */
async function lookedAt(ref: string): Promise<void> {
  await tick();
  const Payload = JSON.stringify({ Records: [{ messageId: "m", body: JSON.stringify({ ref }) }] });
  const answer = await lambda.send(new InvokeCommand({ FunctionName: rotating, Payload }));
  const failures = JSON.parse(answer.Payload?.transformToString() ?? "");
  if (failures.batchItemFailures?.length !== 0) throw new Error(JSON.stringify(failures));
}

/** What the audit has of a secret, each as `action: detail`. */
async function told(ref: string): Promise<readonly string[]> {
  const lines = (await done("audit", "export", ref)).trim().split("\n");
  return lines.map((line) => JSON.parse(line)).map(({ action, detail }) => `${action}: ${detail}`);
}

test.concurrent("what is paused does not begin, though it is due, and begins when it is resumed", async ({
  expect,
}) => {
  const ref = refs.paused;
  await done("pause", ref, "--reason", "the sale");
  await aged(ref, hourMs);
  await lookedAt(ref);
  await lookedAt(ref);
  expect(await current(ref)).toEqual(first.get(ref));
  expect(await record(ref)).toMatchObject({ state: { phase: "idle" }, paused: { reason: "the sale" } });
  await done("resume", ref);
  await tick();
  await expect
    .poll(async () => (await current(ref))?.version, { timeout: 60_000 })
    .not.toBe(first.get(ref)?.version);
  await atRest(ref);
  const all = await told(ref);
  const order = [
    "paused: the sale",
    "resumed: after the pause of ",
    "rotate.began: requested by schedule",
  ].map((what) => all.findIndex((line) => line.startsWith(what)));
  expect(order).not.toContain(-1);
  expect(order).toEqual(order.toSorted((one, other) => one - other));
  expect([await letsIn(first.get(ref)?.value), await letsIn((await current(ref))?.value)]).toEqual([
    false,
    true,
  ]);
}, 300_000);

test.concurrent("a hold keeps the old value alive when its grace is over, and its release lets it end", async ({
  expect,
}) => {
  const ref = refs.held;
  await done("hold", ref, "--for", "2h", "--reason", "the monthly report");
  const after = await rotated(ref);
  const grace = async () => {
    const state = (await record(ref))?.state;
    return state?.phase === "grace" ? state.since : undefined;
  };
  await expect.poll(grace, { timeout: 60_000 }).toBeDefined();
  const since = (await grace()) ?? Number.NaN;
  // The longest grace of this secret is four seconds.
  await sleep(Math.max(0, since + 6_000 - Date.now()));
  await lookedAt(ref);
  expect(await grace()).toBe(since);
  expect([await letsIn(first.get(ref)?.value), await letsIn(after.value)]).toEqual([true, true]);
  await done("release", ref);
  await tick();
  await atRest(ref);
  expect([await letsIn(first.get(ref)?.value), await letsIn(after.value)]).toEqual([false, true]);
}, 300_000);

test.concurrent("what Secrets Manager rotates the schedule begins by RotateSecret: four steps of it, and the old value is refused", async ({
  expect,
}) => {
  const ref = refs.driven;
  const token = randomUUID();
  await rotateSecret(ref, token, { AutomaticallyAfterDays: 30 });
  const before = await current(ref);
  expect(before?.version).toBe(token);
  await atRest(ref);
  await aged(ref, hourMs);
  const since = Date.now();
  await tick();
  await expect.poll(async () => (await current(ref))?.version, { timeout: 120_000 }).not.toBe(token);
  await atRest(ref);
  const after = await current(ref);
  // No other secret of this installation is rotated by Secrets Manager and has a schedule. LocalStack answers when all steps are over: the SDK may repeat the one call.
  const calls = (await callsSince(since)).filter(({ operation }) => operation === "RotateSecret");
  const [call] = calls;
  expect(call).toMatchObject({ by: "keyturn-shown-postgres-alternating", id: expect.stringMatching(/./) });
  expect(new Set(calls.map(({ id }) => id)).size).toBe(1);
  expect(
    (await told(ref)).filter((line) => line.startsWith("rotate.began: requested by schedule")),
  ).toHaveLength(1);
  const { LastRotatedDate, RotationEnabled } = await manager.send(
    new DescribeSecretCommand({ SecretId: ref }),
  );
  expect(RotationEnabled).toBe(true);
  expect(LastRotatedDate?.getTime()).toBeGreaterThan(since - 2_000);
  expect([await letsIn(before?.value), await letsIn(after?.value)]).toEqual([false, true]);
}, 300_000);

test.concurrent("a rotation that fails and is cancelled by CancelRotateSecret strands nothing: the next one ends, and the old value is refused", async ({
  expect,
}) => {
  const ref = refs.cancelled;
  const before = first.get(ref);
  const [given, next] = [randomUUID(), randomUUID()];
  const wire = wireOf(ref);
  await wire.fail("refused");
  await rotateSecret(ref, given);
  await manager.send(new CancelRotateSecretCommand({ SecretId: ref }));
  expect(await current(ref)).toEqual(before);
  await wire.heal();
  // As long as the one that was cancelled is not taken back, the next one is refused, and Secrets Manager's caller asks again.
  const isNext = async () => {
    await rotateSecret(ref, next).catch(() => undefined);
    return (await current(ref))?.version !== before?.version;
  };
  await vi.waitUntil(isNext, { timeout: 120_000, interval: 2_000 });
  await hasEnded(ref, [before?.value ?? ""]);
  expect((await current(ref))?.version).not.toBe(given);
}, 300_000);

/** By the golden event: why the secret is looked at. */
const golden = {
  "secret-label-updated": "the label AWSCURRENT moved to 01234567-90ab-4def-8edc-ba9876543210",
  "rotation-failed": "Secrets Manager says RotationFailed",
  "rotation-abandoned-service-event-details": "Secrets Manager says RotationAbandoned",
  "test-rotation-failed": "Secrets Manager says TestRotationFailed",
  "cancel-rotate-secret": "somebody has called CancelRotateSecret",
};

test.concurrent("what Secrets Manager tells of a secret has it looked at: by the rule, the queue and the function that answers", async ({
  expect,
}) => {
  const ref = refs.paused;
  const Entries = Object.keys(golden).map((name) => {
    const text = readFileSync(join(import.meta.dirname, `../../events/aws/${name}.json`), "utf8");
    expect(text).toContain("billing/db");
    const { source, "detail-type": DetailType, detail } = JSON.parse(text.replaceAll("billing/db", ref));
    return { Source: source, DetailType, Detail: JSON.stringify(detail) };
  });
  const { FailedEntryCount } = await bridge.send(new PutEventsCommand({ Entries }));
  expect(FailedEntryCount).toBe(0);
  // An event may come twice.
  const reasons = async () => {
    const lines = await linesOf("/aws/lambda/keyturn-shown-revoke", ref);
    const looks = lines.flatMap((line) => line.split(`looks at ${ref}: `)[1]?.split('"')[0] ?? []);
    return [...new Set(looks)].toSorted();
  };
  await expect.poll(reasons, { timeout: 60_000, interval: 1_000 }).toEqual(Object.values(golden).toSorted());
}, 120_000);
