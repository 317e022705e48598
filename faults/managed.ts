import type { Clock, ManagedSecret, Policy } from "../core/ports.ts";
import { systemClock } from "../local/clock.ts";

const policy: Policy = {
  schedule: undefined,
  cacheTtlMs: 1_000,
  graceAtLeastMs: 1_000,
  graceAtMostMs: 3_000,
  onLaggards: "hold",
  confirmEveryMs: 10_000,
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
