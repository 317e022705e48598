import type { Ports } from "../core/ports.ts";
import type { ReconcileOptions } from "../core/reconcile.ts";
import { rotationOf } from "../core/transition.ts";
import type { Instruments } from "./instruments.ts";
import type { StepTelemetry } from "./steps.ts";

const outcomes = ["finished", "undone", "halted"] as const;
type RotationOutcome = (typeof outcomes)[number];

/** How a rotation ends, by the line that the audit has of it. */
const endings: Readonly<Record<string, RotationOutcome>> = {
  "rotation.ended": "finished",
  "undo.done": "undone",
  halted: "halted",
};

/** Counts the ends of rotations, and how long they and their adoption took. */
export function observeRotations(
  instruments: Instruments,
  steps: StepTelemetry,
  typeOf: (ref: string) => string,
  now: () => number,
): NonNullable<ReconcileOptions["observe"]> {
  return (transition, before) => {
    const { ref } = transition.record;
    const type = typeOf(ref);
    const rotation = rotationOf(before.state);
    for (const { action } of transition.notes) {
      if (action === "grace.adopted" && before.state.phase === "grace") {
        instruments.record("adoptionDuration", now() - before.state.since, { "keyturn.type": type });
      }
      const outcome = endings[action];
      if (outcome === undefined) continue;
      instruments.add("rotations", 1, {
        "keyturn.secret": ref,
        "keyturn.type": type,
        "keyturn.outcome": outcome,
      });
      // What is halted has not ended: a person lets it go on, or takes it back.
      if (rotation === undefined || outcome === "halted") continue;
      const kind = rotation.urgent ? "emergency" : rotation.kind;
      instruments.record("rotationDuration", now() - rotation.startedAt, {
        "keyturn.type": type,
        "keyturn.kind": kind,
        "keyturn.outcome": outcome,
      });
      steps.startRotation(rotation, ref, type).setAttribute("keyturn.outcome", outcome).end();
    }
  };
}

/** A counter that is not there before its first count hides that count from those who look for an increase. */
export function announceSeries(instruments: Instruments, secrets: Ports["secrets"]): void {
  for (const ref of secrets.refs()) {
    const type = secrets.get(ref)?.type;
    for (const outcome of outcomes) {
      instruments.add("rotations", 0, {
        "keyturn.secret": ref,
        "keyturn.type": type,
        "keyturn.outcome": outcome,
      });
    }
  }
}
