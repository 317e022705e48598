import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { systemClock } from "./clock.ts";
import { systemRandom } from "./random.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const day = 24 * 60 * 60 * 1000;

test.each([
  ["no time", 0],
  ["less than no time", -5],
  ["a second", 1_000],
  ["longer than a timer can", 60 * day],
])("sleeps for %s and not a moment less", async (_, ms) => {
  let awake = false;
  const sleeping = systemClock.sleep(ms).then(() => {
    awake = true;
  });
  if (ms > 0) await vi.advanceTimersByTimeAsync(ms - 1);
  expect(awake).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await sleeping;
  expect(vi.getTimerCount()).toBe(0);
});

test("is woken by the signal, with its reason, and leaves no timer", async () => {
  const controller = new AbortController();
  const sleeping = systemClock.sleep(day, controller.signal);
  controller.abort(new Error("enough"));
  await expect(sleeping).rejects.toThrow("enough");
  await expect(systemClock.sleep(day, controller.signal)).rejects.toThrow("enough");
  expect(vi.getTimerCount()).toBe(0);
});

test("leaves nothing behind on a signal that lives long", async () => {
  const { signal } = new AbortController();
  const removed = vi.spyOn(signal, "removeEventListener");
  const sleeping = systemClock.sleep(10, signal);
  await vi.advanceTimersByTimeAsync(10);
  await sleeping;
  expect(removed).toHaveBeenCalledTimes(1);
});

test("tells the time", () => {
  vi.setSystemTime(123_456);
  expect(systemClock.now()).toBe(123_456);
});

test("chance has the length that was asked for, and is another each time", () => {
  const draws = Array.from({ length: 20 }, () => systemRandom.bytes(16));
  for (const draw of draws) expect(draw).toHaveLength(16);
  expect(new Set(draws.map(String)).size).toBe(20);
});
