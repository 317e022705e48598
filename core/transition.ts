import type { EventData, EventType } from "./events.ts";
import type { Policy } from "./ports.ts";
import type { Debt, Phase, Rotation, RotationRecord, State, VersionMark } from "./record.ts";
import { namesOf } from "./same-login.ts";

/** What a pure decision is made in. `newId` is fresh for every call; it is used if a rotation begins. */
export interface Surroundings {
  readonly policy: Policy;
  readonly overlap: "both-live" | "cutover";
  readonly now: number;
  readonly newId: string;
  /** No scheduled rotation begins before this time, so that many that are due at once do not overwhelm a target. Absent: now. */
  readonly quotaOpensAt?: number;
  /** Somebody else begins rotations, under an id of its own, when it is told to. Absent: they begin here. */
  readonly beginsElsewhere?: boolean;
}

/** A line for the audit. */
export interface Note {
  readonly action: string;
  readonly detail: string;
  readonly version?: string | undefined;
  /** Who asked; without it, the worker. */
  readonly actor?: string;
}

/** An event before it has its envelope; `step` completes its id. */
export type EventDraft = {
  [Type in EventType]: { readonly type: Type; readonly step: string; readonly data: EventData<Type> };
}[EventType];

/** A change of a record with what must be written and told of it. */
export interface Transition {
  readonly record: RotationRecord;
  readonly notes: readonly Note[];
  readonly events: readonly EventDraft[];
}

/** Takes further what has been changed already, and adds its notes and events behind the ones there are. */
export function andThen(first: Transition, change: (record: RotationRecord) => Transition): Transition {
  const second = change(first.record);
  return {
    record: second.record,
    notes: [...first.notes, ...second.notes],
    events: [...first.events, ...second.events],
  };
}

export function stay(record: RotationRecord, note?: Note): Transition {
  return { record, notes: note === undefined ? [] : [note], events: [] };
}

/** The rotation under way, or the one that was when a person was called. */
export function rotationOf(state: State): Rotation | undefined {
  return state.phase === "idle" ? undefined : state.rotation;
}

/** Before finish the candidate is pending, and undo takes it back. */
export function beforeFinish(phase: Phase): boolean {
  return phase === "create" || phase === "set" || phase === "test";
}

/** By version, by value, or by another name: a rollback gives an old value a new version. */
export function isCompromised(record: RotationRecord, mark: VersionMark | undefined): boolean {
  if (mark === undefined) return false;
  const names = namesOf(record, mark.version);
  return record.compromised.some(
    (entry) => names.includes(entry.version) || entry.fingerprint === mark.fingerprint,
  );
}

/** Doubles from the base to the maximum. */
export function backoffMs(policy: Policy, attempts: number): number {
  return Math.min(policy.retryMaxMs, policy.retryBaseMs * 2 ** Math.max(0, attempts - 1));
}

export function begin(
  record: RotationRecord,
  how: { kind: Rotation["kind"]; urgent: boolean; requestedBy: string; restores?: VersionMark },
  { policy, now, newId }: Surroundings,
): Transition {
  const urgentAttempts = how.urgent ? record.urgentAttempts + 1 : record.urgentAttempts;
  const rotation: Rotation = {
    id: newId,
    kind: how.kind,
    urgent: how.urgent,
    restores: how.restores,
    requestedBy: how.requestedBy,
    startedAt: now,
    previous: record.current && { version: record.current.version, fingerprint: record.current.fingerprint },
    aside: overtaken(record),
  };
  return {
    record: {
      ...record,
      epoch: record.epoch + 1,
      // An emergency whose successors keep failing must not spin.
      state: {
        phase: "create",
        rotation,
        attempts: 0,
        notBefore: how.urgent ? Math.max(now, record.urgentNotBefore) : now,
      },
      // A value that is being brought back is no longer one that should be refused.
      debts: record.debts.filter((debt) => debt.fingerprint !== how.restores?.fingerprint),
      wish: undefined,
      urgentAttempts,
      urgentNotBefore: how.urgent ? now + backoffMs(policy, urgentAttempts) : record.urgentNotBefore,
    },
    notes: [
      {
        action: `${how.kind}.began`,
        detail: how.urgent ? "urgent: current is compromised" : `requested by ${how.requestedBy}`,
        version: newId,
      },
    ],
    events: [],
  };
}

/** Of a rotation that has recorded no candidate, and of an import that has not ended, nobody knows whether a worker of its own still saves one. */
function overtaken({ state, importing = [] }: RotationRecord): string[] | undefined {
  const rotation = rotationOf(state);
  const unknown =
    rotation === undefined || rotation.pending !== undefined ? [] : [...(rotation.aside ?? []), rotation.id];
  const versions = new Set([...importing, ...unknown]);
  return versions.size === 0 ? undefined : [...versions];
}

/** Records that a credential should be refused. A debt on the same value that is known already only becomes more urgent. */
export function owe(
  record: RotationRecord,
  mark: VersionMark,
  why: { reason: Debt["reason"]; cutFirst: boolean; notBefore: number },
  now: number,
): RotationRecord {
  const known = record.debts.find((debt) => debt.fingerprint === mark.fingerprint);
  const debt: Debt = {
    version: mark.version,
    fingerprint: mark.fingerprint,
    since: known?.since ?? now,
    reason: known?.reason === "leaked" ? known.reason : why.reason,
    cutFirst: known?.cutFirst === true || why.cutFirst,
    attempts: 0,
    notBefore: Math.min(known?.notBefore ?? why.notBefore, why.notBefore),
  };
  return { ...record, debts: [...record.debts.filter((other) => other !== known), debt] };
}

/** Leaves current untouched and takes the candidate back. Where that would mean to bring a compromised current back, a successor begins instead. */
export function enterUndo(
  record: RotationRecord,
  rotation: Rotation,
  reason: { readonly code: string; readonly message: string },
  around: Surroundings,
): Transition {
  const began: Transition = {
    record,
    notes: [{ action: "undo.began", detail: `${reason.code}: ${reason.message}`, version: rotation.id }],
    events: [failed(record.epoch + 1, "undone", rotation.id, reason)],
  };
  if (around.overlap === "cutover" && isCompromised(record, record.current)) {
    return andThen(began, (undone) => supersede(undone, rotation.pending, around));
  }
  const { now } = around;
  const state = { phase: "undo", rotation, reason: reason.message, attempts: 0, notBefore: now } as const;
  return { ...began, record: { ...record, epoch: record.epoch + 1, state } };
}

/** Begins the successor of a compromised current. What the rotation under way leaves behind is owed. */
export function supersede(
  record: RotationRecord,
  left: VersionMark | undefined,
  around: Surroundings,
): Transition {
  const { now } = around;
  const owes = left !== undefined && left.fingerprint !== record.current?.fingerprint;
  const owing = owes
    ? owe(record, left, { reason: "superseded", cutFirst: false, notBefore: now }, now)
    : record;
  return begin(owing, { kind: "rotate", urgent: true, requestedBy: "emergency" }, around);
}

/** From here on the old credential is owed. `forced` asks nobody; otherwise its users get one more cache TTL and are looked for again. */
export function enterRetire(
  record: RotationRecord,
  rotation: Rotation,
  { forced, why }: { readonly forced: boolean; readonly why: string },
  { policy, now }: Surroundings,
): Transition {
  const previous = rotation.previous;
  if (previous === undefined || previous.fingerprint === record.current?.fingerprint) {
    return enterIdle(record, rotation);
  }
  const notBefore = forced ? now : now + policy.cacheTtlMs;
  const raised = { ...record, epoch: record.epoch + 1 };
  const reason = isCompromised(record, previous) ? "leaked" : "retired";
  return {
    record: {
      ...owe(raised, previous, { reason, cutFirst: false, notBefore }, now),
      state: { phase: "retire", rotation, since: now, forced, attempts: 0, notBefore },
    },
    notes: [
      {
        action: "retire.began",
        detail: why,
        version: previous.version,
      },
    ],
    events: [],
  };
}

export function enterIdle(record: RotationRecord, rotation: Rotation): Transition {
  return {
    record: { ...record, state: { phase: "idle" }, urgentAttempts: 0, scheduleFailures: 0 },
    notes: [{ action: "rotation.ended", detail: "", version: rotation.id }],
    events: [],
  };
}

/** Nothing more is done until a person has looked. */
export function halt(
  record: RotationRecord,
  why: { code: string; message: string },
  now: number,
): Transition {
  const { state } = record;
  if (state.phase === "halted") return stay(record);
  return {
    record: {
      ...record,
      state: {
        phase: "halted",
        rotation: rotationOf(state),
        from: state.phase,
        code: why.code,
        reason: why.message,
        at: now,
      },
    },
    notes: [{ action: "halted", detail: `in ${state.phase}: ${why.code}: ${why.message}` }],
    events: [failed(record.epoch, "halted", state.phase, why)],
  };
}

/** `about` tells events of one epoch apart: what they are about, besides their outcome. */
export function failed(
  epoch: number,
  outcome: EventData<"dev.keyturn.rotation.failed.v1">["outcome"],
  about: string,
  { code, message }: { readonly code: string; readonly message: string },
): EventDraft {
  const data = { epoch, outcome, code, reason: message };
  return { type: "dev.keyturn.rotation.failed.v1", step: `${outcome}/${about}`, data };
}

/** A try that failed, for the audit. */
export function failureNote(
  step: string,
  attempts: number,
  failure: { readonly code: string; readonly message: string },
  version: string,
): Note {
  return {
    action: `${step}.failed`,
    detail: `try ${attempts}: ${failure.code}: ${failure.message}`,
    version,
  };
}

/** How long readers of a cutover type had to do without a current value that works: from before set to after finish. */
export function gap({ cutSince }: Rotation, { now }: Surroundings): string {
  if (cutSince === undefined) return "";
  return `the old value was refused, and the new one not current, for at most ${now - cutSince} ms`;
}

/** A person is told when the tries are used up, and again each time that as many have been used up since. */
export function isAlarm(attempts: number, { attemptsMax }: { readonly attemptsMax: number }): boolean {
  return attempts % attemptsMax === 0;
}
