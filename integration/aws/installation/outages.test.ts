import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { aged } from "./aged.ts";
import { eventsOf } from "./asking.ts";
import { hasEnded, play } from "./scenes.ts";
import { begun, current, record, rotateSecret } from "./stage.ts";
import { stand, wireOf } from "./steering.ts";
import { startWitness } from "./witness.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const within = { timeout: 180_000, interval: 500 };

/** The database is away for a minute from when that call was done, and for as long as it takes to see what is looked for meanwhile. */
async function awayAfter(
  operation: string,
  ref: string,
  also = async (): Promise<unknown> => undefined,
): Promise<() => Promise<void>> {
  const held = await stand({ operation, about: [ref], at: "reply", act: "hold", times: 1 });
  const wire = wireOf(ref);
  return async () => {
    await held.reached();
    await wire.fail("refused");
    await held.letGo();
    await sleep(minuteMs);
    await also();
    await wire.heal();
  };
}

/** The candidate is saved, and cannot be set: it is taken back, and the schedule begins another rotation five minutes later. */
async function inSet(ref: string): Promise<void> {
  const before = await begun(ref);
  await using witness = startWitness(ref);
  const goAway = await awayAfter("PutSecretValue", ref);
  await aged(ref, hourMs);
  await goAway();
  const undone = await vi.waitUntil(async () => {
    const found = await record(ref);
    return found?.state.phase === "idle" && found;
  }, within);
  expect(undone.current?.version).toBe(before.version);
  expect(undone.debts).toEqual([]);
  const waitMs = undone.scheduleNotBefore - Date.now();
  expect(waitMs).toBeGreaterThan(0);
  expect(waitMs).toBeLessThanOrEqual(5 * minuteMs);
  await aged(ref, 5 * minuteMs);
  await vi.waitUntil(async () => (await current(ref))?.version !== before.version, within);
  await hasEnded(ref, [before.value, ...witness.values]);
  expect(witness.refused).toEqual([]);
  const events = (await eventsOf(ref)).join("\n");
  expect(events).toMatch(/"outcome":"undone","code":"unreachable"/);
}

/** The successor is out, and the old login cannot be shut: that is tried until it is, and a person is told meanwhile. */
async function inGrace(ref: string): Promise<void> {
  const before = await begun(ref);
  await using witness = startWitness(ref);
  const isTold = async () => ((await record(ref))?.debts[0]?.attempts ?? 0) >= 5;
  const goAway = await awayAfter("PutEvents", ref, () => vi.waitUntil(isTold, within));
  const token = randomUUID();
  await Promise.all([rotateSecret(ref, token), goAway()]);
  expect((await current(ref))?.version).toBe(token);
  expect((await record(ref))?.debts.map(({ version }) => version)).toEqual([before.version]);
  await hasEnded(ref, [before.value]);
  expect((await current(ref))?.version).toBe(token);
  expect(witness.refused).toEqual([]);
  expect((await eventsOf(ref)).join("\n")).toMatch(/"outcome":"delayed","code":"unreachable"/);
}

const outages = [
  { ref: "away/set", where: "away in set", happens: inSet },
  { ref: "away/grace", where: "away in grace", happens: inGrace },
];

test("the database is away for a minute: the fleet goes on with current, and everything ends without a person", async () => {
  expect(await play(outages, ({ ref, happens }) => happens(ref))).toEqual([]);
}, 480_000);
