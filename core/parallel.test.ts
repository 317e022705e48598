import { expect, test } from "vitest";
import { inParallel } from "./parallel.ts";

test("each is done once and no more than so many at once, and what fails stops no other", async () => {
  let now = 0;
  let most = 0;
  const items = Array.from({ length: 50 }, (_, index) => index);
  const settled = await inParallel(items, 4, async (item) => {
    now += 1;
    most = Math.max(most, now);
    await new Promise((resolve) => setImmediate(resolve));
    now -= 1;
    if (item % 10 === 3) throw new Error(`no ${item}`);
    return item * 2;
  });
  expect(most).toBe(4);
  expect(settled.map((one) => (one.status === "fulfilled" ? one.value : one.reason.message))).toEqual(
    items.map((item) => (item % 10 === 3 ? `no ${item}` : item * 2)),
  );
  expect(await inParallel([], 4, async () => 1)).toEqual([]);
});
