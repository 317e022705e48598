import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { Slots } from "./slots.ts";

test("no more than so many work at once, and all of them are done", async () => {
  const slots = new Slots(3, 60_000);
  let now = 0;
  let most = 0;
  const done = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      slots.run(async () => {
        now += 1;
        most = Math.max(most, now);
        await sleep(1);
        now -= 1;
        return index;
      }),
    ),
  );
  expect(done).toEqual(Array.from({ length: 20 }, (_, index) => index));
  expect(most).toBe(3);
});

test("those that never end keep nobody out", async () => {
  const slots = new Slots(2, 20);
  const stuck = new Promise<never>(() => undefined);
  for (let index = 0; index < 6; index += 1) void slots.run(() => stuck);
  await expect(slots.run(async () => "through")).resolves.toBe("through");
});

test("work that fails makes room, too", async () => {
  const slots = new Slots(1, 60_000);
  await expect(slots.run(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
  await expect(slots.run(async () => "next")).resolves.toBe("next");
});
