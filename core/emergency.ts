import type { RotationRecord, VersionMark } from "./record.ts";
import {
  andThen,
  begin,
  enterRetire,
  enterUndo,
  owe,
  rotationOf,
  type Surroundings,
  stay,
  type Transition,
} from "./transition.ts";

interface Emergency {
  readonly by: string;
  readonly version: VersionMark;
  readonly cutFirst: boolean;
}

/** Marks the version as compromised, raises the epoch over whoever is at work, and does what its stage asks for. */
export function cutOff(record: RotationRecord, emergency: Emergency, around: Surroundings): Transition {
  const { version: mark, by, cutFirst } = emergency;
  const marked: RotationRecord = {
    ...record,
    epoch: record.epoch + 1,
    lease: undefined,
    compromised: [
      ...record.compromised.filter((entry) => entry.version !== mark.version),
      { ...mark, reportedBy: by, at: around.now },
    ],
  };
  const cut = cutFirst
    ? owe(marked, mark, { reason: "leaked", cutFirst, notBefore: around.now }, around.now)
    : marked;
  const reported: Transition = {
    record: cut,
    notes: [
      {
        action: "emergency.requested",
        detail: cutFirst ? "cut first" : "",
        version: mark.version,
        actor: by,
      },
    ],
    events: [
      {
        type: "dev.keyturn.secret.revoked.v1",
        step: `revoked/${mark.version}`,
        data: { epoch: marked.epoch, version: mark.version },
      },
    ],
  };
  return andThen(reported, (after) => strike(after, mark, around));
}

function strike(record: RotationRecord, mark: VersionMark, around: Surroundings): Transition {
  const stage = stageOf(record, mark);
  const { state } = record;
  if (stage === "other") return cutNow(record, mark, around);
  // Which version is current is just being decided: the row is looked up again after announce.
  if (state.phase === "finish" || state.phase === "announce") return stay(record);
  switch (stage) {
    case "current":
      return urgently(record, around);
    case "pending":
      return takeBackPending(record, around);
    case "previous":
      return state.phase === "grace" || (state.phase === "retire" && !state.forced)
        ? enterRetire(record, state.rotation, { forced: true, why: "it is compromised" }, around)
        : cutNow(record, mark, around);
  }
}

function stageOf(record: RotationRecord, mark: VersionMark): "current" | "pending" | "previous" | "other" {
  const rotation = rotationOf(record.state);
  if (mark.version === record.current?.version) return "current";
  if (mark.version === rotation?.id) return "pending";
  return mark.version === rotation?.previous?.version ? "previous" : "other";
}

function takeBackPending(record: RotationRecord, around: Surroundings): Transition {
  const { state } = record;
  const rotation = rotationOf(state);
  // What undo takes back is refused by undo itself.
  if (rotation === undefined || state.phase === "undo") return stay(record);
  const reason = { code: "leaked", message: "pending is compromised" };
  return andThen(enterUndo(record, rotation, reason, around.now), (undoing) =>
    stay({ ...undoing, wish: { kind: "rotate", requestedBy: "emergency", at: around.now } }),
  );
}

/** Begins the successor of a compromised current. What the rotation under way left behind becomes a debt. */
function urgently(record: RotationRecord, around: Surroundings): Transition {
  const { state } = record;
  const { now } = around;
  const rotation = rotationOf(state);
  const phase = state.phase === "halted" ? state.from : state.phase;
  const published = phase === "grace" || phase === "retire";
  const left = published ? rotation?.previous : (rotation?.pending ?? rotation?.restores);
  const owes = left !== undefined && left.fingerprint !== record.current?.fingerprint;
  const owing = owes
    ? owe(record, left, { reason: "superseded", cutFirst: false, notBefore: now }, now)
    : record;
  return begin(owing, { kind: "rotate", urgent: true, requestedBy: "emergency" }, around);
}

function cutNow(record: RotationRecord, mark: VersionMark, { now }: Surroundings): Transition {
  const known = record.debts.some((debt) => debt.fingerprint === mark.fingerprint && debt.cutFirst);
  return known
    ? stay(record)
    : stay(owe(record, mark, { reason: "leaked", cutFirst: false, notBefore: now }, now));
}
