import fc from "fast-check";
import { expect, test } from "vitest";
import { request } from "../core/operate.ts";
import { reconcile } from "../core/reconcile.ts";
import { every } from "../core/schedule.ts";
import { chanceFrom } from "../local/chance.ts";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { SchedulerQuota } from "./scheduler-quota.ts";

const perMs = 3_600_000;
const never = (): number => 0;

test("so many begin, the next when the oldest is so long ago", () => {
  const quota = new SchedulerQuota({ rotations: 2, perMs }, never);
  expect(quota.opensAt(1_000)).toBe(0);
  quota.took(1_000);
  expect(quota.opensAt(1_001)).toBe(0);
  quota.took(2_000);
  expect(quota.opensAt(2_001)).toBe(1_000 + perMs);
  expect(quota.opensAt(1_000 + perMs)).toBe(0);
  quota.took(1_000 + perMs);
  expect(quota.opensAt(1_000 + perMs)).toBe(2_000 + perMs);
});

test("a clock that is put back by a year closes it for no longer than it lasts", () => {
  const quota = new SchedulerQuota({ rotations: 1, perMs }, never);
  const year = 365 * 24 * perMs;
  quota.took(2 * year);
  expect(quota.opensAt(year)).toBe(year + perMs);
});

test("in no time of that length do more begin, whoever asks and when", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.integer({ min: 0, max: perMs }), { minLength: 1, maxLength: 60 }),
      (rotations, pauses) => {
        const quota = new SchedulerQuota({ rotations, perMs });
        const begun: number[] = [];
        let now = 1_000_000;
        for (const pause of pauses) {
          now += pause;
          const opens = quota.opensAt(now);
          expect(opens === 0 || opens > now).toBe(true);
          if (opens === 0) {
            quota.took(now);
            begun.push(now);
          }
        }
        begun.forEach((time, index) => {
          const before = begun[index - rotations];
          if (before !== undefined) expect(time - before).toBeGreaterThanOrEqual(perMs);
        });
      },
    ),
  );
});

/** Twelve secrets whose first values came at once, and that are due again. */
async function twelveDue(everyMs = 24 * perMs, rotations = 3) {
  const { ports: one, clock, managed } = memoryPorts(modelTarget().bothLive);
  const refs = Array.from({ length: 12 }, (_, index) => `app/db-${index}`);
  const policy = { ...managed.policy, schedule: every(everyMs) };
  const get = (ref: string) =>
    refs.includes(ref) ? { ...managed, ref, config: { owner: ref }, policy } : undefined;
  const ports = { ...one, secrets: { get, refs: () => refs } };
  const chance = chanceFrom(1);
  const quota = new SchedulerQuota({ rotations, perMs }, () => chance.next());
  const began: string[] = [];
  const work = async (ref: string): Promise<void> => {
    await reconcile(ref, ports, {
      worker: "worker",
      quota,
      observe: ({ notes }) => {
        for (const { action, detail } of notes) if (action === "rotate.began") began.push(`${ref} ${detail}`);
      },
    });
  };
  const due = async (): Promise<readonly string[]> => ports.journal.due(clock.now(), 100);
  /** Works on all that is due, at once, until the time has come. */
  const passUntil = async (time: number): Promise<void> => {
    while (clock.now() < time) {
      await Promise.all((await due()).map(work));
      const next = (await ports.journal.nextDueAt()) ?? time;
      clock.advance(Math.max(1, Math.min(next, time) - clock.now()));
    }
  };
  for (const ref of refs) await request(ref, ports, { kind: "rotate", by: "ann" });
  await passUntil(clock.now() + 10_000);
  expect(began).toEqual([]);
  clock.advance(everyMs + perMs);
  return { ports, clock, refs, began, work, due, passUntil };
}

test("of twelve that are due at once, three begin an hour, until all have had their turn", async () => {
  const { began, work, due, clock, passUntil } = await twelveDue();
  await Promise.all((await due()).map(work));
  expect(began).toHaveLength(3);
  expect(began.every((line) => line.endsWith("requested by schedule"))).toBe(true);
  const start = clock.now();
  await passUntil(start + perMs - 1);
  expect(began).toHaveLength(3);
  await passUntil(start + 3 * perMs + 60_000);
  expect(began).toHaveLength(12);
  expect(new Set(began).size).toBe(12);
});

test("where the schedules ask for more than it allows, every secret has its turn nevertheless", async () => {
  const { began, clock, passUntil } = await twelveDue(perMs, 1);
  await passUntil(clock.now() + 60 * perMs);
  expect(began.length).toBeGreaterThan(50);
  expect(began.length).toBeLessThanOrEqual(60);
  expect(new Set(began).size).toBe(12);
});

test("a person's request and an emergency never wait for it", async () => {
  const { ports, refs, began, work, due } = await twelveDue();
  await Promise.all((await due()).map(work));
  const waiting = refs.filter((ref) => !began.some((line) => line.startsWith(`${ref} `)));
  const [asked = "", leaked = ""] = waiting;
  await request(asked, ports, { kind: "rotate", by: "ann" });
  const version = { version: "", fingerprint: "", ...(await ports.journal.load(leaked))?.record.current };
  await request(leaked, ports, { kind: "emergency", by: "ann", version, cutFirst: false });
  await Promise.all([work(asked), work(leaked)]);
  const store = async (ref: string) => (await ports.store.read(ref, "current"))?.version;
  expect(await store(leaked)).not.toBe(version.version);
  expect((await ports.journal.load(asked))?.record.state.phase).toBe("grace");
});
