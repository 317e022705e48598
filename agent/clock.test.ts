import { expect, test } from "vitest";
import { systemClock, thawingClock } from "./clock.ts";

/** Both clocks of a machine, as a test sets them. */
function machine() {
  const at = { now: 100, wall: 1_000_000 };
  return { at, clock: thawingClock({ ...systemClock, now: () => at.now, wall: () => at.wall }) };
}

test("what has passed is told by both clocks while they agree", () => {
  const { at, clock } = machine();
  const begun = clock.now();
  at.now += 5;
  at.wall += 5;
  expect(clock.now() - begun).toBe(5);
  expect(clock.wall()).toBe(1_000_005);
});

test("a clock that stood still while the machine slept does not hide the time", () => {
  const { at, clock } = machine();
  const begun = clock.now();
  at.wall += 3_600_000;
  expect(clock.now() - begun).toBe(3_600_000);
});

test("a clock that is set back makes nothing live longer, and set forward again nothing shorter than it should", () => {
  const { at, clock } = machine();
  const begun = clock.now();
  at.now += 10;
  at.wall -= 3_600_000;
  expect(clock.now() - begun).toBe(10);
  at.now += 10;
  at.wall += 10;
  expect(clock.now() - begun).toBe(20);
});
