import { cutOff } from "./emergency.ts";
import { type Intervention, intervene } from "./intervene.ts";
import type { RotationRecord, State, VersionMark } from "./record.ts";
import { isSameLogin } from "./same-login.ts";
import {
  beforeFinish,
  begin,
  enterUndo,
  isCompromised,
  type Note,
  type Surroundings,
  stay,
  type Transition,
} from "./transition.ts";

/** What a person, a schedule or an incident asks for. */
export type Request =
  | { readonly kind: "rotate"; readonly by: string }
  /** `insist`: a person says so, knowing that the rotation is halted. */
  | { readonly kind: "cancel"; readonly by: string; readonly insist: boolean }
  | { readonly kind: "rollback"; readonly by: string; readonly insist: boolean }
  | {
      readonly kind: "emergency";
      readonly by: string;
      readonly version: VersionMark;
      readonly cutFirst: boolean;
    }
  /** Ends a pause, and a halt: the same state again, its tries counted anew. */
  | { readonly kind: "resume"; readonly by: string }
  | Intervention;

/**
 * - `began`: a rotation, an undo, a rollback or a cut begins by this request.
 * - `joined`: what was asked for is already under way.
 * - `waiting`: recorded; it begins as soon as it can.
 * - `nothing`: there is nothing to do.
 * - `refused`: nothing has changed, and `why` says what to do instead.
 */
export interface Answer extends Transition {
  readonly answer: "began" | "joined" | "waiting" | "nothing" | "refused";
  readonly why: string;
}

/** The design's request table: a pure, total function of request and state. */
export function answer(record: RotationRecord, request: Request, around: Surroundings): Answer {
  switch (request.kind) {
    case "rotate":
      return rotate(record, request.by, around);
    case "cancel":
      return cancel(record, request, around);
    case "rollback":
      return rollback(record, request, around);
    case "emergency":
      if (
        isBeingCutOff(record, request.version) &&
        !(request.cutFirst && isNotOwed(record, request, around))
      ) {
        return as("joined", stay(record), "this version is being cut off already, or was");
      }
      return began(cutOff(record, request, around), "the version is being cut off");
    case "resume":
      return resume(record, request.by, around);
    case "pause":
    case "hold":
    case "release":
    case "retire": {
      const { answer: kind, transition, why } = intervene(record, request, around);
      return as(kind, transition, why);
    }
  }
}

function rotate(record: RotationRecord, by: string, around: Surroundings): Answer {
  const { state } = record;
  switch (state.phase) {
    case "idle":
      if (record.paused !== undefined) {
        return refuse(record, `paused by ${record.paused.by}: ${record.paused.reason}; resume it first`);
      }
      if (record.debts.length > 0 && around.overlap === "both-live") {
        const versions = record.debts.map((debt) => debt.version).join(", ");
        return wish(record, "rotate", by, `not yet proven refused, and paid first: ${versions}`, around);
      }
      if (around.beginsElsewhere === true) {
        return wish(record, "rotate", by, "it begins as soon as a worker has told who begins it", around);
      }
      return began(
        begin(record, { kind: "rotate", urgent: false, requestedBy: by }, around),
        "rotation begins",
      );
    case "create":
    case "set":
    case "test":
    case "finish":
    case "announce":
      return as("joined", stay(record), `rotation ${state.rotation.id} is under way`);
    case "grace":
    case "retire":
    case "undo":
      return wish(record, "rotate", by, `it begins when the ${state.phase} under way has ended`, around);
    case "halted":
      return refuse(record, `halted in ${state.from}: ${state.code}: ${state.reason}`);
  }
}

/** A halted rotation does nothing by itself: reporting the leak again must set it going. */
function isBeingCutOff(record: RotationRecord, { version }: VersionMark): boolean {
  const entry = record.compromised.find((known) => known.version === version);
  return entry !== undefined && (entry.refusedAt !== undefined || record.state.phase !== "halted");
}

/** What is to be cut first, and is not owed so: also where it was cut before, for a target that was restored lets it in again. */
function isNotOwed(
  { debts, ...record }: RotationRecord,
  { version: mark }: { readonly version: VersionMark },
  { overlap }: Surroundings,
): boolean {
  return overlap === "both-live" && !debts.some((debt) => debt.cutFirst && isSameLogin(record, debt, mark));
}

const goesOn = "current is compromised, and this rotation makes its successor";

function cancel(
  record: RotationRecord,
  request: { by: string; insist: boolean },
  around: Surroundings,
): Answer {
  const { state } = record;
  const reason = { code: "cancelled", message: `cancelled by ${request.by}` };
  switch (state.phase) {
    case "idle":
    case "undo":
      return as("nothing", stay(record), "no rotation is under way that could be cancelled");
    case "create":
    case "set":
    case "test":
      if (isCompromised(record, record.current)) return refuse(record, goesOn);
      return began(enterUndo(record, state.rotation, reason, around), "the candidate is taken back");
    case "finish":
    case "announce":
    case "grace":
      return refuse(record, "the new version is out already: use rollback");
    case "retire":
      return refuse(record, "the old credential is being retired: rotate instead");
    case "halted":
      if (state.rotation === undefined || !(beforeFinish(state.from) || state.from === "finish")) {
        return refuse(record, `halted in ${state.from}, where nothing can be taken back: ${state.reason}`);
      }
      if (!request.insist) return refuse(record, `halted: ${state.reason}; cancel it on purpose to undo it`);
      return began(enterUndo(record, state.rotation, reason, around), "the candidate is taken back");
  }
}

function rollback(
  record: RotationRecord,
  request: { by: string; insist: boolean },
  around: Surroundings,
): Answer {
  const { state } = record;
  switch (state.phase) {
    case "idle":
      return refuse(record, "the old credential is retired: rotate instead");
    case "create":
    case "set":
    case "test":
      if (isCompromised(record, record.current)) return refuse(record, goesOn);
      return began(
        enterUndo(
          record,
          state.rotation,
          { code: "cancelled", message: `rolled back by ${request.by}` },
          around,
        ),
        "nothing was published yet: the candidate is taken back",
      );
    case "finish":
    case "announce":
      if (isCompromised(record, state.rotation.previous))
        return refuse(record, "the old version is compromised");
      return wish(
        record,
        "rollback",
        request.by,
        "it begins as soon as the new version is announced",
        around,
      );
    case "grace":
      return rollForward(record, state.rotation.previous, request.by, around);
    case "retire":
      return refuse(record, "the old credential is being retired: rotate instead");
    case "undo":
      return as("nothing", stay(record), "the candidate is being taken back already");
    case "halted":
      if (state.from !== "grace") return refuse(record, `halted in ${state.from}: ${state.reason}`);
      if (!request.insist) return refuse(record, `halted: ${state.reason}; roll back on purpose to try`);
      return rollForward(record, state.rotation?.previous, request.by, around);
  }
}

/** Bringing a value back is a rotation of its own: moving a label would publish a password that may be dead. */
export function rollForward(
  record: RotationRecord,
  previous: VersionMark | undefined,
  by: string,
  around: Surroundings,
): Answer {
  if (previous === undefined) return refuse(record, "there is no version before this one");
  if (isCompromised(record, previous)) return refuse(record, "the old version is compromised");
  const how = { kind: "rollback", urgent: false, requestedBy: by, restores: previous } as const;
  return began(begin(record, how, around), "the old value becomes current again");
}

function resume(record: RotationRecord, by: string, { now }: Surroundings): Answer {
  const { state, paused } = record;
  const woken = { ...record, paused: undefined };
  if (state.phase !== "halted") {
    if (paused === undefined) return as("nothing", stay(record), "it is neither halted nor paused");
    const note = { action: "resumed", detail: `after the pause of ${paused.by}`, actor: by };
    return began(stay(woken, note), "it goes on by itself again");
  }
  const note = { action: "resumed", detail: `after ${state.code} in ${state.from}`, actor: by };
  return began(stay({ ...woken, state: resumedState(state, now) }, note), `it goes on with ${state.from}`);
}

function resumedState(state: Extract<State, { phase: "halted" }>, now: number): State {
  const { rotation, from } = state;
  if (rotation === undefined || from === "idle") return { phase: "idle" };
  const again = { rotation, attempts: 0, notBefore: now };
  switch (from) {
    case "grace":
      return {
        phase: from,
        ...again,
        since: now,
        confirmAt: now,
        refusals: 0,
        adopted: false,
        laggardsNamed: false,
      };
    case "retire":
      return { phase: from, ...again, since: now, forced: rotation.urgent };
    case "undo":
      return { phase: from, ...again, reason: state.reason };
    default:
      return { phase: from, ...again };
  }
}

function wish(
  record: RotationRecord,
  kind: "rotate" | "rollback",
  by: string,
  why: string,
  { now }: Surroundings,
): Answer {
  const note: Note = { action: `${kind}.requested`, detail: why, actor: by };
  return as("waiting", stay({ ...record, wish: { kind, requestedBy: by, at: now } }, note), why);
}

function as(kind: Answer["answer"], transition: Transition, why: string): Answer {
  return { ...transition, answer: kind, why };
}

function began(transition: Transition, why: string): Answer {
  return as("began", transition, why);
}

function refuse(record: RotationRecord, why: string): Answer {
  return as("refused", stay(record), why);
}
