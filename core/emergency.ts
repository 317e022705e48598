import type { RotationRecord, State, VersionMark } from "./record.ts";
import { isSameLogin } from "./same-login.ts";
import {
  andThen,
  enterRetire,
  enterUndo,
  isCompromised,
  owe,
  rotationOf,
  type Surroundings,
  stay,
  supersede,
  type Transition,
} from "./transition.ts";

interface Emergency {
  readonly by: string;
  readonly version: VersionMark;
  readonly cutFirst: boolean;
}

/** Marks the version as compromised, raises the epoch over whoever is at work, and does what its stage asks for. */
export function cutOff(record: RotationRecord, emergency: Emergency, around: Surroundings): Transition {
  const { version: mark, by } = emergency;
  // A cutover type has one password: setting the successor is the cut, and there is none before it.
  const cutFirst = emergency.cutFirst && around.overlap === "both-live";
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
    ? owe(marked, asHeld(marked, mark), { reason: "leaked", cutFirst, notBefore: around.now }, around.now)
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

/** What is done about a version that is known to be compromised, by its stage. */
export function strike(record: RotationRecord, mark: VersionMark, around: Surroundings): Transition {
  const stage = stageOf(record, mark);
  const { state } = record;
  if (stage === "other") return cutNow(record, mark, around);
  // Which version is current is just being decided: the row is looked up again after announce.
  if (state.phase === "finish" || state.phase === "announce") {
    return stay({ ...record, state: { ...state, attempts: 0, notBefore: around.now } });
  }
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

/** A leak names whichever version was found. */
function stageOf(record: RotationRecord, mark: VersionMark): "current" | "pending" | "previous" | "other" {
  const rotation = rotationOf(record.state);
  const is = (other: VersionMark | undefined) => other !== undefined && isSameLogin(record, other, mark);
  if (is(record.current)) return "current";
  if (mark.version === rotation?.id || is(rotation?.pending) || is(rotation?.restores)) return "pending";
  return is(rotation?.previous) ? "previous" : "other";
}

function takeBackPending(record: RotationRecord, around: Surroundings): Transition {
  const { state } = record;
  const rotation = rotationOf(state);
  // What undo takes back is refused by undo itself.
  if (rotation === undefined || state.phase === "undo") return stay(record);
  const reason = { code: "leaked", message: "pending is compromised" };
  return andThen(enterUndo(record, rotation, reason, around), (undoing) =>
    stay({ ...undoing, wish: { kind: "rotate", requestedBy: "emergency", at: around.now } }),
  );
}

/**
 * The quickest way to a successor that leaves no reader without a credential. A candidate that is on its way already is that successor:
 * it goes on under the new epoch, without a grace.
 */
function urgently(record: RotationRecord, around: Surroundings): Transition {
  const { state } = record;
  const { now } = around;
  const again = { attempts: 0, notBefore: now };
  switch (state.phase) {
    case "create":
    case "set":
    case "test":
      // What brings the leaked value itself back is no successor.
      if (isCompromised(record, state.rotation.restores))
        return supersede(record, state.rotation.pending, around);
      return stay({
        ...record,
        state: { ...state, ...again, rotation: { ...state.rotation, urgent: true } },
      });
    case "undo":
      // Its id is never used again: a worker of the undo may still be about to put the candidate aside.
      return supersede(record, state.rotation.pending ?? state.rotation.restores, around);
    case "grace":
    case "retire":
      return supersede(record, state.rotation.previous, around);
    case "idle":
    case "finish":
    case "announce":
      return supersede(record, undefined, around);
    case "halted":
      return supersede(record, leftBehind(state), around);
  }
}

/** What a halted rotation may have left alive at the target. */
function leftBehind({ from, rotation }: Extract<State, { phase: "halted" }>): VersionMark | undefined {
  const published = from === "announce" || from === "grace" || from === "retire";
  return published ? rotation?.previous : (rotation?.pending ?? rotation?.restores);
}

function cutNow(record: RotationRecord, mark: VersionMark, { now }: Surroundings): Transition {
  const held = asHeld(record, mark);
  const known = record.debts.some((debt) => debt.fingerprint === held.fingerprint && debt.cutFirst);
  return known
    ? stay(record)
    : stay(owe(record, held, { reason: "leaked", cutFirst: false, notBefore: now }, now));
}

/** By the name and the value that its target knows it by, where what has leaked is another name of it. */
function asHeld(record: RotationRecord, mark: VersionMark): VersionMark {
  const held = [record.current, rotationOf(record.state)?.previous, ...record.debts];
  return held.find((one) => one !== undefined && isSameLogin(record, one, mark)) ?? mark;
}
