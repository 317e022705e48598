import { activeHolds } from "../core/intervene.ts";
import type { RotationRecord } from "../core/record.ts";

/** Whom the rest of a rotation waits for: no worker and no time brings it on. Undefined where it goes on by itself. */
export function pausedBy({ ref, state, paused, wish }: RotationRecord): string | undefined {
  const { phase } = state;
  const isHeldUp = phase === "grace" || phase === "retire" || (phase === "idle" && wish !== undefined);
  if (paused === undefined || !isHeldUp) return undefined;
  return `it is paused by ${paused.by}: ${paused.reason}; \`keyturn resume ${ref}\` lets it go on`;
}

/** What a rotation is waiting for, for whoever wonders why it takes so long; undefined where it is at work. */
export function waitingFor(record: RotationRecord, now: number): string | undefined {
  const { ref, state } = record;
  const paused = pausedBy(record);
  if (paused !== undefined || state.phase !== "grace") return paused;
  const holds = activeHolds(record, now).map(
    ({ by, reason, until }) => `held by ${by} until ${new Date(until).toISOString()}: ${reason}`,
  );
  return holds.length > 0
    ? holds.join(", ")
    : `the old credential works until the fleet has released it: \`keyturn status ${ref}\` says who has not`;
}
