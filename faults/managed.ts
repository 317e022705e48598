import type { Clock, ManagedSecret, Policy } from "../core/ports.ts";
import { systemClock } from "../local/clock.ts";

const policy: Policy = {
  schedule: undefined,
  // So long that on no machine a wait is over before somebody has looked: the same calls, however slow they are. The clock is moved on over all of it.
  cacheTtlMs: 20_000,
  graceAtLeastMs: 30_000,
  graceAtMostMs: 60_000,
  onLaggards: "hold",
  confirmEveryMs: 100_000,
  // Far longer than any step: a worker that was stopped goes on with its step, however long it was.
  stepDeadlineMs: 60_000,
  attemptsMax: 3,
  retryBaseMs: 100,
  retryMaxMs: 5_000,
};

/** A secret as supervisor and workers manage it. */
export function managed(secret: Pick<ManagedSecret, "ref" | "type" | "config" | "admin">): ManagedSecret {
  return { ...secret, policy, fleets: ["agents"], tenant: undefined };
}

/** The machine's time, moved on: waits are skipped, sleeping is real, so that the server keeps up. */
export function movedClock(movedMs: () => number): Clock {
  return { ...systemClock, now: () => systemClock.now() + movedMs() };
}
