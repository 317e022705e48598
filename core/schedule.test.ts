import { expect, test } from "vitest";
import { every } from "./schedule.ts";

test("a value that is to be so old is replaced then, whatever the time is", () => {
  const schedule = every(500);
  expect([schedule.next(1_000, 0), schedule.next(1_000, 9_000)]).toEqual([1_500, 1_500]);
});
