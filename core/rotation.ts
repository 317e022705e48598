import { seenRefused, settled } from "./debt.ts";
import type { Failure, Outcome } from "./outcome.ts";
import type { Rotation, RotationRecord, State, VersionMark } from "./record.ts";
import {
  andThen,
  backoffMs,
  beforeFinish,
  begin,
  enterIdle,
  enterRetire,
  enterUndo,
  failed,
  failureNote,
  halt,
  isCompromised,
  owe,
  type Surroundings,
  stay,
  supersede,
  type Transition,
} from "./transition.ts";

/** How often in a row the target must refuse the new credential in grace before it is believed. */
export const refusalsBelieved = 3;

/**
 * What becomes of the record when a step has come to something. Pure and total: an outcome that the state does not wait
 * for changes nothing.
 */
export function next(record: RotationRecord, outcome: Outcome, around: Surroundings): Transition {
  if (outcome.step === "settle") return settled(record, outcome, around);
  const { state } = record;
  if (outcome.step === "confirm") {
    return state.phase === "grace" ? confirmed(record, state, outcome, around) : stay(record);
  }
  if (state.phase !== outcome.step) return stay(record);
  if (outcome.result === "failed") return stepFailed(record, state, outcome, around);
  return stepDone(record, state.rotation, outcome, around);
}

type Worked = Extract<State, { rotation: Rotation; attempts: number }>;

function stepDone(
  record: RotationRecord,
  rotation: Rotation,
  outcome: Exclude<Outcome, Failure | { step: "settle" | "confirm" }>,
  around: Surroundings,
): Transition {
  const version = rotation.id;
  const on = (
    phase: "set" | "test" | "finish" | "announce",
    changes: Partial<RotationRecord> = {},
  ): Transition =>
    stay(
      { ...record, state: { phase, rotation, attempts: 0, notBefore: around.now }, ...changes },
      { action: `${outcome.step}.done`, detail: "", version },
    );
  switch (outcome.step) {
    case "create":
      return outcome.result === "saved"
        ? created(record, rotation, outcome, around)
        : foreignPending(record, outcome.pending, around);
    case "set":
      return on("test");
    case "test":
      return on("finish");
    case "finish": {
      const promoted = rotation.pending ?? { version, fingerprint: "" };
      return on("announce", { current: { ...promoted, since: around.now } });
    }
    case "announce":
      return andThen(stay(record, { action: "announce.done", detail: "", version }), (announced) =>
        afterAnnounce(announced, rotation, around),
      );
    case "undo":
      return undone(record, rotation, around);
  }
}

function created(
  record: RotationRecord,
  rotation: Rotation,
  { pending, current }: { pending: VersionMark; current: VersionMark | undefined },
  { now }: Surroundings,
): Transition {
  const outside =
    current !== undefined && record.current !== undefined && current.version !== record.current.version;
  const since = outside ? now : (record.current?.since ?? now);
  const known = { ...rotation, pending, previous: current };
  return stay(
    {
      ...record,
      current: current && { ...current, since },
      state: { phase: "set", rotation: known, attempts: 0, notBefore: now },
    },
    {
      action: "create.done",
      detail: outside ? "current was changed in the store from outside" : "",
      version: rotation.id,
    },
  );
}

/** Someone else's candidate sits on pending. It may be live at the target, so it is owed before it is put aside. */
function foreignPending(record: RotationRecord, pending: VersionMark, { now }: Surroundings): Transition {
  const raised = { ...record, epoch: record.epoch + 1 };
  return stay(owe(raised, pending, { reason: "foreign", cutFirst: false, notBefore: now }, now), {
    action: "debt.recorded",
    detail: "a candidate of another rotation was pending",
    version: pending.version,
  });
}

/** The new version is out: its row is looked up anew, for an emergency may have struck on the way. */
export function afterAnnounce(record: RotationRecord, rotation: Rotation, around: Surroundings): Transition {
  const { now, policy } = around;
  const { previous } = rotation;
  if (isCompromised(record, record.current)) return supersede(record, previous, around);
  if (previous === undefined) return enterIdle(record, rotation);
  if (rotation.urgent || isCompromised(record, previous)) {
    return enterRetire(record, rotation, { forced: true, why: "it is compromised" }, around);
  }
  return stay(
    {
      ...record,
      state: {
        phase: "grace",
        rotation,
        since: now,
        confirmAt: now + policy.confirmEveryMs,
        refusals: 0,
        adopted: false,
        laggardsNamed: false,
        attempts: 0,
        notBefore: now,
      },
    },
    { action: "grace.began", detail: "", version: rotation.id },
  );
}

/** Proven refused and put aside: nothing of the candidate is owed any more. */
function undone(record: RotationRecord, rotation: Rotation, { now }: Surroundings): Transition {
  const debts = record.debts.filter((debt) => debt.fingerprint !== rotation.pending?.fingerprint);
  const nothing = { sessionsEnded: 0, survives: [] };
  const compromised = seenRefused(record, rotation.pending, { ...nothing, now });
  const ended: RotationRecord = { ...record, state: { phase: "idle" }, debts, compromised };
  // A rollback that never saved its candidate leaves the value that it wanted back alive, and in nobody's use.
  const alive = rotation.pending === undefined ? rotation.restores : undefined;
  return stay(
    alive === undefined
      ? ended
      : owe(ended, alive, { reason: "superseded", cutFirst: false, notBefore: now }, now),
    { action: "undo.done", detail: "", version: rotation.id },
  );
}

function stepFailed(
  record: RotationRecord,
  state: Worked,
  failure: Failure,
  around: Surroundings,
): Transition {
  const { now, policy } = around;
  const attempts = state.attempts + 1;
  const { code, message } = failure;
  const exhausted = attempts >= policy.attemptsMax;
  const succeeds = beforeFinish(state.phase) && isCompromised(record, record.current);
  // An undo that was overtaken by the emergency had put the candidate aside already.
  if (succeeds && code === "pending-lost") return supersede(record, state.rotation.pending, around);
  if (failure.disposition === "halt") return halt(record, failure, now);
  // The successor of a compromised credential is not given up for an outage: nothing better can be begun.
  if (beforeFinish(state.phase) && (failure.disposition === "reject" || (exhausted && !succeeds))) {
    return enterUndo(record, state.rotation, failure, around);
  }
  if (
    state.phase === "announce" &&
    (failure.disposition === "reject" || exhausted || state.rotation.urgent)
  ) {
    // Events are hints: agents read on their own pulse too, and an emergency must not wait for a bus.
    const missed = { action: "announce.failed", detail: `${code}: ${message}`, version: state.rotation.id };
    return andThen(stay(record, missed), (announced) => afterAnnounce(announced, state.rotation, around));
  }
  // Past this point there is only forward: a conflict or a rejection needs a person, an outage needs patience.
  if (failure.disposition === "reject" || (code === "conflict" && exhausted))
    return halt(record, failure, now);
  return {
    record: { ...record, state: { ...state, attempts, notBefore: now + backoffMs(policy, attempts) } },
    notes:
      attempts > policy.attemptsMax ? [] : [failureNote(state.phase, attempts, failure, state.rotation.id)],
    events: attempts === policy.attemptsMax ? [failed(record.epoch, "delayed", state.phase, failure)] : [],
  };
}

function confirmed(
  record: RotationRecord,
  state: Extract<State, { phase: "grace" }>,
  outcome: Extract<Outcome, { step: "confirm" }>,
  around: Surroundings,
): Transition {
  const { now, policy } = around;
  const confirmAt = now + policy.confirmEveryMs;
  if (outcome.result !== "refused") {
    const refusals = outcome.result === "works" ? 0 : state.refusals;
    return stay({ ...record, state: { ...state, confirmAt, refusals } });
  }
  const refusals = state.refusals + 1;
  if (refusals < refusalsBelieved) {
    return stay(
      { ...record, state: { ...state, confirmAt, refusals } },
      { action: "confirm.refused", detail: `${refusals} times in a row`, version: state.rotation.id },
    );
  }
  const { previous } = state.rotation;
  if (outcome.previousWorks && previous !== undefined && !isCompromised(record, previous)) {
    return begin(
      record,
      { kind: "rollback", urgent: false, requestedBy: "keyturn", restores: previous },
      around,
    );
  }
  return halt(
    record,
    { code: "current-broken", message: "the target refuses the new credential in grace" },
    now,
  );
}
