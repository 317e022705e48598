import type { Rotation, RotationRecord, State, VersionMark } from "./record.ts";
import { isSameLogin } from "./same-login.ts";
import { owe, type Surroundings, stay, type Transition } from "./transition.ts";

/**
 * Someone else's candidate sits on pending. It may be live at the target, so it is owed before it is put aside; unless it is what is
 * current, which is nothing to be refused. Either is recorded first: only what the newest record knows of is put aside.
 */
export function foreignCandidate(
  record: RotationRecord,
  rotation: Rotation,
  pending: VersionMark,
  { now }: Surroundings,
): Transition {
  const { version } = pending;
  if (record.current !== undefined && isSameLogin(record, record.current, pending)) {
    const state: State = {
      phase: "create",
      rotation: { ...rotation, aside: [...(rotation.aside ?? []), version] },
      attempts: 0,
      notBefore: now,
    };
    return stay(
      { ...record, state },
      { action: "candidate.found", detail: "another candidate with the current value was pending", version },
    );
  }
  const raised = { ...record, epoch: record.epoch + 1 };
  return stay(owe(raised, pending, { reason: "foreign", cutFirst: false, notBefore: now }, now), {
    action: "debt.recorded",
    detail: "a candidate of another rotation was pending",
    version,
  });
}
