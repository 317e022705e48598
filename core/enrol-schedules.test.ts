import { expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { enrolSchedules, request } from "./operate.ts";
import type { Policy, Ports } from "./ports.ts";
import { reconcile } from "./reconcile.ts";
import { every, type Schedule } from "./schedule.ts";

const ref = "app/db";
const hour = 3_600_000;

/** A secret at rest; its policy is what the manifest says at the moment. */
async function atRest(begun = true) {
  const { ports: memory, clock, managed } = memoryPorts(modelTarget().bothLive);
  let policy: Policy = managed.policy;
  const ports: Ports = {
    ...memory,
    secrets: { get: (asked) => (asked === ref ? { ...managed, policy } : undefined), refs: () => [ref] },
  };
  const work = () => reconcile(ref, ports, { worker: "worker" });
  if (begun) {
    await request(ref, ports, { kind: "rotate", by: "ann" });
    for (let turn = 0; turn < 20; turn += 1) {
      await work();
      clock.advance(1_000);
    }
    expect(await dueAt(ports)).toBeNull();
  }
  return {
    ports,
    clock,
    work,
    setSchedule: async (schedule: Schedule | undefined) => {
      policy = { ...policy, schedule };
      await enrolSchedules(ports);
    },
    since: async () => (await ports.journal.load(ref))?.record.current?.since ?? Number.NaN,
  };
}

async function dueAt(ports: Ports): Promise<number | null | undefined> {
  return (await ports.journal.load(ref))?.record.dueAt;
}

test("a schedule that is new begins by itself, and sooner where it comes sooner", async () => {
  const { ports, setSchedule, since } = await atRest();
  await setSchedule(every(5 * hour));
  expect(await dueAt(ports)).toBe((await since()) + 5 * hour);
  await setSchedule(every(2 * hour));
  expect(await dueAt(ports)).toBe((await since()) + 2 * hour);
});

test.each([
  ["comes later", every(9 * hour), 9 * hour],
  ["is gone", undefined, undefined],
])("one that %s is looked at when the old time has come, and nothing begins", async (_, schedule, later) => {
  const { ports, clock, work, setSchedule, since } = await atRest();
  await setSchedule(every(2 * hour));
  const version = (await ports.journal.load(ref))?.record.current?.version;
  await setSchedule(schedule);
  clock.advance((await since()) + 2 * hour - clock.now());
  expect(await ports.journal.due(clock.now(), 10)).toEqual([ref]);
  await work();
  expect(await dueAt(ports)).toBe(later === undefined ? null : (await since()) + later);
  expect((await ports.journal.load(ref))?.record.current?.version).toBe(version);
});

test("one whose time has gone by is due at once", async () => {
  const { ports, clock, setSchedule, work } = await atRest();
  clock.advance(100 * hour);
  await setSchedule(every(hour));
  expect(await ports.journal.due(clock.now(), 10)).toEqual([ref]);
  const { record } = await work();
  expect(record.state).toMatchObject({ phase: "grace", rotation: { requestedBy: "schedule" } });
});

test("a secret without a value waits for a person", async () => {
  const { ports, setSchedule } = await atRest(false);
  await setSchedule(every(hour));
  expect(await ports.journal.load(ref)).toBeUndefined();
});

test("what was undone again and again keeps its pause, and what is under way its time", async () => {
  const { ports, clock, setSchedule } = await atRest();
  const loaded = await ports.journal.load(ref);
  if (loaded === undefined) throw new Error("no record");
  const scheduleNotBefore = clock.now() + 50 * hour;
  await ports.journal.save({ ...loaded.record, scheduleNotBefore }, loaded.revision);
  await setSchedule(every(1));
  expect(await dueAt(ports)).toBe(scheduleNotBefore);

  await request(ref, ports, { kind: "rotate", by: "ann" });
  const before = await ports.journal.load(ref);
  await setSchedule(every(2));
  expect(await ports.journal.load(ref)).toEqual(before);
});
