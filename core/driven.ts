import type { Action, StepName } from "./decide.ts";
import type { Policy } from "./ports.ts";
import type { Rotation, RotationRecord } from "./record.ts";
import { isCompromised, rotationOf, type Surroundings } from "./transition.ts";

/** What a worker may do that takes one step of one rotation, because somebody else says when the next one is taken. */
export interface Driven {
  /** The only rotation whose steps it takes. */
  readonly rotation: string;
  /** No step beyond this one. */
  readonly through: StepName;
}

/** The way of a rotation. What undoes it, and what is owed, is nobody's turn: whoever comes does it. */
const forward: readonly StepName[] = ["create", "set", "test", "finish", "announce"];

/** So long whoever drives a rotation from outside may say nothing before it goes on by itself. */
export function patienceMs({ stepDeadlineMs }: Pick<Policy, "stepDeadlineMs">): number {
  return 2 * stepDeadlineMs;
}

/** An action that is another's to take: the record as it rests meanwhile, and when it is looked at again. */
export interface Left {
  readonly record: RotationRecord;
  readonly until: number;
}

/**
 * Whether this worker leaves an action to others. Who is driven takes the steps of its own rotation, as far as it was told; all others keep off
 * that rotation until patience ends. An emergency is left to nobody: it goes on as fast as it can, whoever drives.
 */
export function leave(
  action: Action,
  record: RotationRecord,
  driven: Driven | undefined,
  around: Surroundings,
): Left | undefined {
  const { now } = around;
  if (driven !== undefined && beginsByItself(action) !== undefined) return { record, until: now };
  const rotation = rotationOf(record.state);
  if (action.do !== "step" || !forward.includes(action.step) || rotation === undefined) return undefined;
  const keptOff = handsOff(record, rotation, around);
  if (driven === undefined) return keptOff === undefined ? undefined : { record, until: keptOff };
  if (rotation.id !== driven.rotation) return { record, until: keptOff ?? now };
  if (isUrgent(record, rotation)) return undefined;
  if (forward.indexOf(action.step) <= forward.indexOf(driven.through)) return undefined;
  const until = now + patienceMs(around.policy);
  return { record: withRotation(record, { ...rotation, handsOffUntil: until }), until };
}

/** The rotation that begins by an action, because it is due or was wished for. An emergency's is none. */
export function beginsByItself(action: Action): Rotation | undefined {
  if (action.do !== "change") return undefined;
  const { state } = action.transition.record;
  return state.phase === "create" && !state.rotation.urgent ? state.rotation : undefined;
}

/** The record with another word on the rotation under way. */
export function withRotation(record: RotationRecord, rotation: Rotation): RotationRecord {
  const { state } = record;
  return state.phase === "idle" ? record : { ...record, state: { ...state, rotation } };
}

/** Until when others keep off a rotation. A time further ahead than patience is that of a clock that was wrong. */
function handsOff(
  record: RotationRecord,
  rotation: Rotation,
  { now, policy }: Surroundings,
): number | undefined {
  const { handsOffUntil } = rotation;
  if (handsOffUntil === undefined || isUrgent(record, rotation)) return undefined;
  return handsOffUntil > now && handsOffUntil <= now + patienceMs(policy) ? handsOffUntil : undefined;
}

/** It makes the successor of what is compromised. */
export function isUrgent(record: RotationRecord, { urgent }: Pick<Rotation, "urgent">): boolean {
  return urgent || isCompromised(record, record.current);
}

/** So many ids are remembered: whoever has given one may ask again for a while. */
const closedMost = 5;

/** What the record keeps of a rotation that is put aside, where its id was given from outside. */
export function closing(
  record: RotationRecord,
  { id, handsOffUntil }: Pick<Rotation, "id" | "handsOffUntil">,
): Pick<RotationRecord, "closed"> {
  return handsOffUntil === undefined ? {} : { closed: closedWith(record, id) };
}

export function closedWith({ closed = [] }: RotationRecord, id: string): string[] {
  return [...closed.filter((other) => other !== id), id].slice(-closedMost);
}
