import { candidateOf, created } from "./candidate.ts";
import { seenRefused, settled } from "./debt.ts";
import { closing } from "./driven.ts";
import { foreignCandidate } from "./foreign-candidate.ts";
import type { Failure, Outcome } from "./outcome.ts";
import type { Rotation, RotationRecord, State, VersionMark } from "./record.ts";
import { refusedFor } from "./same-login.ts";
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
  gap,
  halt,
  isAlarm,
  isCompromised,
  owe,
  type Surroundings,
  stay,
  supersede,
  type Transition,
} from "./transition.ts";

/** After rotations that were undone, a schedule waits longer each time, up to this. */
const schedulePauseMaxMs = 6 * 3_600_000;

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
    action = `${outcome.step}.done`,
  ): Transition =>
    stay(
      { ...record, state: { phase, rotation, attempts: 0, notBefore: around.now }, ...changes },
      { action, detail: phase === "announce" ? gap(rotation, around) : "", version },
    );
  const out = { current: { ...candidateOf(rotation), since: around.now } };
  switch (outcome.step) {
    case "create":
      return outcome.result === "saved"
        ? created(record, rotation, outcome, around)
        : foreignCandidate(record, rotation, outcome.pending, around);
    case "set":
      return on("test");
    case "test":
      return on("finish");
    case "finish":
      return on("announce", out);
    case "announce":
      return andThen(stay(record, { action: "announce.done", detail: "", version }), (announced) =>
        afterAnnounce(announced, rotation, around),
      );
    case "undo":
      // A finish that halted was carried out: who wants the old value rolls back.
      return outcome.result === "done"
        ? undone(record, rotation, around)
        : on("announce", out, "finish.done");
  }
}

/** The new version is out: its row is looked up anew, for an emergency may have struck on the way. */
export function afterAnnounce(record: RotationRecord, rotation: Rotation, around: Surroundings): Transition {
  const { previous } = rotation;
  if (isCompromised(record, record.current)) return supersede(record, previous, around);
  if (previous === undefined) return enterIdle(record, rotation);
  if (rotation.urgent || isCompromised(record, previous)) {
    return enterRetire(record, rotation, { forced: true, why: "it is compromised" }, around);
  }
  return enterGrace(record, rotation, around);
}

function enterGrace(record: RotationRecord, rotation: Rotation, { now, policy }: Surroundings): Transition {
  const tries = { attempts: 0, notBefore: now };
  const seen = { refusals: 0, adopted: false, laggardsNamed: false };
  const confirmAt = now + policy.confirmEveryMs;
  return stay(
    { ...record, state: { phase: "grace", rotation, since: now, confirmAt, ...seen, ...tries } },
    { action: "grace.began", detail: "", version: rotation.id },
  );
}

/** Put aside, and proven refused where it was ever anybody's but the fleet's: nothing of the candidate is owed any more. */
function undone(record: RotationRecord, rotation: Rotation, around: Surroundings): Transition {
  const { now, policy } = around;
  const note = { action: "undo.done", detail: "", version: rotation.id };
  const { restores } = rotation;
  if (restores !== undefined && !isCompromised(record, restores)) {
    const left = { ...record, ...closing(record, rotation) };
    return andThen(stay(left, note), (ended) => backToGrace(ended, rotation, restores, around));
  }
  const mark = candidateOf(rotation);
  const nothing = { sessionsEnded: 0, survives: [] };
  const scheduleFailures = record.scheduleFailures + 1;
  const pauseMs = Math.min(schedulePauseMaxMs, policy.retryMaxMs * 2 ** (scheduleFailures - 1));
  const ended: RotationRecord = {
    ...(rotation.pending === undefined ? record : refusedFor(record, rotation.id)),
    state: { phase: "idle" },
    debts: record.debts.filter((debt) => debt.fingerprint !== mark.fingerprint),
    compromised: seenRefused(record, mark, { ...nothing, now }),
    scheduleFailures,
    scheduleNotBefore: now + pauseMs,
    ...closing(record, rotation),
  };
  // A rollback that never saved its candidate has proven nothing of the value that it wanted back.
  const alive = rotation.pending === undefined ? restores : undefined;
  const why = { reason: "superseded", cutFirst: false, notBefore: now } as const;
  return stay(alive === undefined ? ended : owe(ended, alive, why, now), note);
}

/** The value that a rollback wanted back was alive before it, and is still the fleet's: the grace that it ended goes on. */
function backToGrace(
  record: RotationRecord,
  rotation: Rotation,
  old: VersionMark,
  around: Surroundings,
): Transition {
  const { current } = record;
  const resumed: Rotation = {
    id: current?.version ?? rotation.id,
    kind: "rotate",
    urgent: false,
    requestedBy: rotation.requestedBy,
    startedAt: rotation.startedAt,
    pending: current && { version: current.version, fingerprint: current.fingerprint },
    previous: old,
  };
  return enterGrace(record, resumed, around);
}

function stepFailed(
  record: RotationRecord,
  state: Worked,
  failure: Failure,
  around: Surroundings,
): Transition {
  const { now, policy } = around;
  const { phase, rotation } = state;
  const { code, disposition } = failure;
  const attempts = state.attempts + 1;
  const exhausted = attempts >= policy.attemptsMax;
  if (phase === "announce" && (disposition !== "retry" || exhausted || rotation.urgent)) {
    return unannounced(record, rotation, failure, around);
  }
  const unpublished = beforeFinish(phase) || phase === "finish";
  if (unpublished && isCompromised(record, record.current)) {
    return successorFailed(record, state, failure, around);
  }
  if (disposition === "halt") return halt(record, failure, now);
  if (beforeFinish(phase) && (disposition === "reject" || exhausted)) {
    return enterUndo(record, rotation, failure, around);
  }
  // Past this point there is only forward: a conflict or a rejection needs a person, an outage needs patience.
  if (disposition === "reject" || (code === "conflict" && exhausted)) return halt(record, failure, now);
  return tryAgain(record, state, failure, around);
}

function tryAgain(
  record: RotationRecord,
  state: Worked,
  failure: Failure,
  { now, policy }: Surroundings,
): Transition {
  const { phase, rotation } = state;
  const attempts = state.attempts + 1;
  return {
    record: { ...record, state: { ...state, attempts, notBefore: now + backoffMs(policy, attempts) } },
    notes: attempts > policy.attemptsMax ? [] : [failureNote(phase, attempts, failure, rotation.id)],
    events: isAlarm(attempts, policy)
      ? [failed(record.epoch, "delayed", `${phase}/${attempts}`, failure)]
      : [],
  };
}

/** Events are hints: agents read on their own pulse too, and an emergency must not wait for a bus. */
function unannounced(
  record: RotationRecord,
  rotation: Rotation,
  failure: Failure,
  around: Surroundings,
): Transition {
  const detail = `${failure.code}: ${failure.message}`;
  return andThen(stay(record, { action: "announce.failed", detail, version: rotation.id }), (announced) =>
    afterAnnounce(announced, rotation, around),
  );
}

/** No emergency is given up, and none waits for a person: an outage is waited out, and for anything else there is another successor. */
function successorFailed(
  record: RotationRecord,
  state: Worked,
  failure: Failure,
  around: Surroundings,
): Transition {
  const { phase, rotation } = state;
  const conflict = phase === "finish" && failure.code === "conflict";
  if (failure.disposition === "retry" && !conflict) return tryAgain(record, state, failure, around);
  if (failure.disposition === "reject" && beforeFinish(phase))
    return enterUndo(record, rotation, failure, around);
  const told: Transition = {
    record,
    notes: [failureNote(phase, state.attempts + 1, failure, rotation.id)],
    events: [failed(record.epoch, "delayed", rotation.id, failure)],
  };
  return andThen(told, (after) => supersede(after, rotation.pending, around));
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
