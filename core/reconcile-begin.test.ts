import { expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { KeyturnError } from "./errors.ts";
import { enrolSchedules, request } from "./operate.ts";
import { type ReconcileOptions, reconcile } from "./reconcile.ts";
import type { RotationRecord } from "./record.ts";
import { every } from "./schedule.ts";

const ref = "app/db";
const hour = 3_600_000;

/** A secret with a first value, whose next rotation is due by its schedule, and others are asked to begin it. */
async function due() {
  const { ports, clock, lines, managed } = memoryPorts(modelTarget().bothLive, {
    policy: { graceAtMostMs: 2_000 },
  });
  await request(ref, ports, { kind: "rotate", by: "tester" });
  await reconcile(ref, ports, { worker: "worker" });
  Object.assign(managed.policy, { schedule: every(hour) });
  await enrolSchedules(ports);
  clock.advance(2 * hour);
  lines.length = 0;
  const asked: RotationRecord[] = [];
  const recorded = async () => (await ports.journal.load(ref))?.record;
  const work = (begin: NonNullable<ReconcileOptions["begin"]>) =>
    reconcile(ref, ports, {
      worker: "worker",
      begin: async (record) => {
        asked.push(record);
        return begin(record);
      },
    });
  return { ports, clock, lines, asked, recorded, work };
}

test("what is due is on record as a wish of the schedule before others are asked, and nobody has the lease", async () => {
  const { work, asked, recorded, clock } = await due();
  const now = clock.now();
  await work(async () => {
    expect(await recorded()).toMatchObject({
      wish: { kind: "rotate", requestedBy: "schedule", at: now },
      lease: undefined,
      state: { phase: "idle" },
    });
    return true;
  });
  expect(asked).toEqual([await recorded()]);
});

test("a wish that is there keeps who wished it, and when", async () => {
  const { work, clock, recorded, ports } = await due();
  const first = clock.now();
  await work(async () => true);
  clock.advance(hour);
  await work(async () => true);
  expect((await recorded())?.wish).toEqual({ kind: "rotate", requestedBy: "schedule", at: first });
  expect(await ports.journal.due(clock.now(), 9)).toEqual([]);
});

test("of several workers at one moment one asks, and nobody asks again before it is time", async () => {
  const { work, asked, clock, ports } = await due();
  const works = await Promise.all([1, 2, 3].map(() => work(async () => true)));
  expect(asked).toHaveLength(1);
  const until = works[0]?.until ?? Number.NaN;
  expect(works.map((one) => one.until)).toEqual([until, until, until]);
  clock.advance(until - clock.now() - 1);
  const revision = (await ports.journal.load(ref))?.revision;
  expect(await work(async () => true)).toMatchObject({ result: "waiting", until });
  expect((await ports.journal.load(ref))?.revision).toBe(revision);
  clock.advance(1);
  await work(async () => true);
  expect(asked).toHaveLength(2);
});

test("what was wished for while another rotation was under way is asked for as soon as that has ended", async () => {
  const { work, asked, ports, clock, recorded } = await due();
  await work(async () => false);
  await request(ref, ports, { kind: "rotate", by: "somebody" });
  asked.length = 0;
  for (let turn = 0; turn < 50 && asked.length === 0; turn += 1) {
    const { until = clock.now() } = await work(async () => true);
    if (asked.length === 0) clock.advance(Math.max(1, until - clock.now()));
  }
  expect(asked).toMatchObject([{ wish: { requestedBy: "somebody" } }]);
  expect((await recorded())?.state.phase).toBe("idle");
});

test("what others have made of it meanwhile is what is answered", async () => {
  const { work, ports } = await due();
  const { result, record } = await work(async () => {
    await request(ref, ports, { kind: "pause", by: "somebody", reason: "a freeze" });
    return true;
  });
  expect(result).toBe("waiting");
  expect(record.paused).toBeDefined();
});

test("where others do not begin it, Keyturn does", async () => {
  const { work, asked, recorded } = await due();
  const before = (await recorded())?.current?.version;
  await work(async () => false);
  expect(asked).toHaveLength(1);
  expect(await recorded()).toMatchObject({ state: { phase: "grace" } });
  expect((await recorded())?.current?.version).not.toBe(before);
});

test("where asking fails it is said with the remedy, and asked for again after a while", async () => {
  const { work, lines, asked, recorded, clock } = await due();
  const refusal = new KeyturnError("role-lacks-rights", "RotateSecret is refused");
  const { result, until } = await work(async () => {
    throw refusal;
  });
  expect(result).toBe("waiting");
  expect(lines).toEqual([
    `warn ${ref} is due, and its rotation did not begin ${JSON.stringify({
      code: "role-lacks-rights",
      reason: "RotateSecret is refused",
      remedy: refusal.remedy,
    })}`,
  ]);
  expect(until).toBeGreaterThan(clock.now());
  expect(await recorded()).toMatchObject({
    state: { phase: "idle" },
    wish: { kind: "rotate" },
    dueAt: until,
  });
  clock.advance((until ?? 0) - clock.now());
  await work(async () => true);
  expect(asked).toHaveLength(2);
});
