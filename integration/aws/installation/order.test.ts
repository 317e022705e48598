import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { atRest, begun, current, letsIn, processesOf, record, rotateSecret, tick } from "./stage.ts";
import { callsSince, stand, wireOf } from "./steering.ts";

const ref = "ordered/db";

test("an order by hand makes the first value; RotateSecret takes four steps, and the old value is refused when its grace is over", async () => {
  const before = await begun(ref);
  expect(await letsIn(before.value)).toBe(true);
  const since = Date.now();
  const token = randomUUID();
  await rotateSecret(ref, token);
  const after = await current(ref);
  expect(after?.version).toBe(token);
  expect([await letsIn(before.value), await letsIn(after?.value)]).toEqual([true, true]);
  await atRest(ref);
  expect(await record(ref)).toMatchObject({ current: { version: token }, debts: [] });
  expect([await letsIn(before.value), await letsIn(after?.value)]).toEqual([false, true]);
  const calls = await callsSince(since);
  expect(calls.map(({ operation }) => operation)).toContain("UpdateSecretVersionStage");
  expect(new Set(calls.map(({ by }) => by))).toContain("keyturn-shown-postgres-alternating");
  expect(processesOf("keyturn-shown-postgres-alternating").length).toBeGreaterThan(0);
}, 300_000);

test("calls that are throttled are made again; a database that is away leaves current as it is, and the next rotation finds it back", async () => {
  const before = await current(ref);
  await using throttled = await stand({
    operation: "PutSecretValue",
    about: [ref],
    times: 2,
    act: { code: "ThrottlingException" },
  });
  const wire = wireOf(ref);
  await wire.fail("refused");
  await rotateSecret(ref, randomUUID());
  expect(await throttled.met()).toBe(3);
  await atRest(ref);
  expect((await current(ref))?.version).toBe(before?.version);
  await wire.heal();
  const token = randomUUID();
  await rotateSecret(ref, token);
  await expect.poll(async () => (await current(ref))?.version, { timeout: 60_000 }).toBe(token);
  await atRest(ref);
  expect([await letsIn(before?.value), await letsIn((await current(ref))?.value)]).toEqual([false, true]);
}, 300_000);

test("the tick does all that it is there for", async () => {
  await tick();
}, 60_000);
