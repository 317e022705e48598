import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import { Scheduler } from "./scheduler.ts";

/** Due work by reference; what is being worked on, and all that was ever handed out. */
function world(due: readonly string[]) {
  const underWay = new Set<string>();
  const handedOut: string[] = [];
  const warnings: string[] = [];
  let failing = 0;
  const journal = {
    due: async (_now: number, limit: number) => {
      if (failing > 0) {
        failing -= 1;
        throw new KeyturnError("journal-unavailable", "the disk is full");
      }
      return due.slice(0, limit);
    },
    nextDueAt: async () => undefined,
  };
  const workshop = {
    has: (ref: string) => underWay.has(ref),
    get load() {
      return underWay.size;
    },
    reconcile: (ref: string) => {
      underWay.add(ref);
      handedOut.push(ref);
    },
  };
  const scheduler = new Scheduler(
    journal,
    workshop,
    () => Date.now(),
    (_level, message) => warnings.push(message),
  );
  return {
    scheduler,
    handedOut,
    warnings,
    fail: (times: number) => {
      failing = times;
    },
    end: (ref: string, busyUntil?: number) => {
      underWay.delete(ref);
      scheduler.done(ref, busyUntil);
    },
  };
}

test("a journal that cannot be read is looked at again, and takes nobody down", async () => {
  const { scheduler, handedOut, warnings, fail } = world(["app/db"]);
  fail(1);
  scheduler.wake();
  await sleep(50);
  expect(handedOut).toEqual([]);
  expect(warnings).toHaveLength(1);
  await expect.poll(() => handedOut, { timeout: 3_000 }).toEqual(["app/db"]);
  await scheduler.stop();
});

test("a hundred secrets that cannot be worked on do not hide the one behind them", async () => {
  const stuck = Array.from({ length: 100 }, (_, index) => `stuck/${index}`);
  const { scheduler, handedOut, end } = world([...stuck, "app/db"]);
  scheduler.wake();
  for (let turn = 0; turn < 200 && !handedOut.includes("app/db"); turn += 1) {
    await sleep(2);
    for (const ref of handedOut.slice(-16)) end(ref, Date.now() + 60_000);
  }
  expect(handedOut).toContain("app/db");
  expect(new Set(handedOut).size).toBe(handedOut.length);
  await scheduler.stop();
});

test("what is under way is not handed out twice", async () => {
  const { scheduler, handedOut } = world(["a", "b"]);
  scheduler.wake();
  scheduler.wake();
  await sleep(20);
  scheduler.wake();
  await sleep(20);
  expect(handedOut).toEqual(["a", "b"]);
  await scheduler.stop();
});
