import { closedWith, isUrgent, patienceMs, withRotation } from "./driven.ts";
import { heldUntil } from "./intervene.ts";
import type { Phase, Rotation, RotationRecord } from "./record.ts";
import { rollForward } from "./request.ts";
import { begin, enterUndo, rotationOf, type Surroundings, stay, type Transition } from "./transition.ts";

/** Who asks, in the audit. */
export const nativeActor = "Secrets Manager";

/**
 * Where a rotation is that goes by an id from outside, its token:
 * - `ahead`: in `phase`, at the longest. `published`: its version is out, whatever comes of the old one.
 * - `undone`: it is being taken back. `halted`: a person has to look.
 * - `closed`: it was put aside, and never begins again. `elsewhere`: the record knows nothing of it.
 */
export type Place =
  | { readonly at: "ahead"; readonly phase: "create" | "set" | "test" | "finish" | "announce" }
  | { readonly at: "undone" | "halted"; readonly why: string }
  | { readonly at: "published" | "closed" | "elsewhere" };

export function placeOf(record: RotationRecord, token: string): Place {
  const { state } = record;
  if (state.phase === "idle" || state.rotation?.id !== token) {
    if (record.current?.version === token) return { at: "published" };
    return { at: record.closed?.includes(token) === true ? "closed" : "elsewhere" };
  }
  switch (state.phase) {
    case "create":
    case "set":
    case "test":
    case "finish":
    case "announce":
      return { at: "ahead", phase: state.phase };
    case "grace":
    case "retire":
      return { at: "published" };
    case "undo":
      return { at: "undone", why: state.reason };
    case "halted":
      return { at: "halted", why: `${state.code}: ${state.reason}` };
  }
}

/**
 * What createSecret comes to:
 * - `done`: the candidate is there, or out already. `joined`: the step goes on. `began`: it begins under the token.
 * - `first`: what is in the way goes first; then it is asked again.
 * - `busy`, `refused`: the token is put aside, and never used; `why` says what happens instead, or what to do.
 */
export interface NativeAnswer extends Transition {
  readonly answer: "done" | "joined" | "began" | "first" | "busy" | "refused";
  readonly why: string;
}

/** `newId` is the token. `tried`: what could be put out of the way was tried already. */
interface Asked extends Surroundings {
  readonly tried: boolean;
}

/** The table of createSecret: a pure, total function of state and token. */
export function answerCreate(record: RotationRecord, asked: Asked): NativeAnswer {
  const token = asked.newId;
  const place = placeOf(record, token);
  switch (place.at) {
    case "published":
      return as("done", stay(record), "it is out already");
    case "ahead":
      return place.phase === "create"
        ? as("joined", stay(record), "")
        : as("done", stay(record), "the candidate is saved already");
    case "undone":
    case "halted":
      return as("refused", stay(record), place.why);
    case "closed":
      return as("refused", stay(record), "this version was put aside: begin another rotation");
    case "elsewhere":
      return answerOther(record, asked);
  }
}

/** Another rotation is under way than that of the token, or none. */
function answerOther(record: RotationRecord, asked: Asked): NativeAnswer {
  const { state } = record;
  switch (state.phase) {
    case "idle":
      return answerIdle(record, asked);
    case "create":
    case "set":
    case "test":
      if (isUrgent(record, state.rotation))
        return letGo(record, state.rotation, "an emergency is under way", asked);
      if (state.rotation.kind === "rollback")
        return letGo(record, state.rotation, "a rollback is under way", asked);
      return as(
        "first",
        enterUndo(
          record,
          state.rotation,
          { code: "cancelled", message: `${nativeActor} began another rotation` },
          asked,
        ),
        "",
      );
    case "finish":
    case "announce":
      return letGo(record, state.rotation, `${state.rotation.id} is being published`, asked);
    case "grace":
      return answerGrace(record, state.rotation, asked);
    case "retire":
      return wished(record, "the old credential is being retired", asked);
    case "undo":
      return asked.tried
        ? wished(record, `${state.rotation.id} is being taken back: ${state.reason}`, asked)
        : as("first", stay(record), "");
    case "halted":
      return refused(record, `halted in ${state.from}: ${state.code}: ${state.reason}`, asked);
  }
}

function answerIdle(record: RotationRecord, asked: Asked): NativeAnswer {
  const { paused, debts, wish } = record;
  if (paused !== undefined) {
    return refused(record, `paused by ${paused.by}: ${paused.reason}; resume it first`, asked);
  }
  if (debts.length > 0 && asked.overlap === "both-live") {
    const versions = debts.map(({ version }) => version).join(", ");
    return asked.tried
      ? wished(record, `not yet proven refused, and paid first: ${versions}`, asked)
      : as("first", stay(record), "");
  }
  // A rollback that comes too late is dropped: what it wanted back is retired.
  const requestedBy = wish?.kind === "rotate" ? wish.requestedBy : nativeActor;
  return began(begin(record, { kind: "rotate", urgent: false, requestedBy }, asked), asked);
}

/** Somebody wanted the old value back before this rotation was asked for: then that is what it does. */
function answerGrace(record: RotationRecord, rotation: Rotation, asked: Asked): NativeAnswer {
  if (record.wish?.kind === "rollback") {
    const { answer, ...back } = rollForward(
      { ...record, wish: undefined },
      rotation.previous,
      record.wish.requestedBy,
      asked,
    );
    if (answer === "began") return began(back, asked);
  }
  return wished(record, `the grace of ${rotation.id} is under way`, asked);
}

/** From now on nobody else takes its steps, until patience ends. */
function began({ record, notes, events }: Transition, { now, policy }: Asked): NativeAnswer {
  const rotation = rotationOf(record.state);
  const driven =
    rotation === undefined
      ? record
      : withRotation(record, { ...rotation, handsOffUntil: now + patienceMs(policy) });
  return as("began", { record: driven, notes, events }, "");
}

/** It begins as soon as it can. */
function wished(record: RotationRecord, reason: string, asked: Asked): NativeAnswer {
  const mine = { kind: "rotate", requestedBy: nativeActor, at: asked.now } as const;
  const wish = record.wish?.kind === "rotate" ? record.wish : mine;
  const until = freeAt(record, asked);
  const time = until > asked.now ? `, ${new Date(until).toISOString()} at the earliest` : "";
  const why = `busy: ${reason}; the next rotation begins by itself when that has ended${time}`;
  return aside({ ...record, wish }, "busy", { action: "rotate.requested", why }, asked);
}

/** Whoever drove the rotation under way has turned to another one: it goes on by itself, at once. */
function letGo(record: RotationRecord, rotation: Rotation, reason: string, asked: Asked): NativeAnswer {
  const { now } = asked;
  const driven = rotation.handsOffUntil !== undefined;
  const free = driven ? withRotation(record, { ...rotation, handsOffUntil: now }) : record;
  return aside(
    free,
    "busy",
    { action: "rotate.refused", why: `busy: ${reason}, and goes on by itself` },
    asked,
  );
}

function refused(record: RotationRecord, why: string, asked: Asked): NativeAnswer {
  return aside(record, "refused", { action: "rotate.refused", why }, asked);
}

function aside(
  record: RotationRecord,
  answer: "busy" | "refused",
  { action, why }: { readonly action: string; readonly why: string },
  { newId }: Asked,
): NativeAnswer {
  const note = { action, detail: why, version: newId, actor: nativeActor };
  return as(answer, stay({ ...record, closed: closedWith(record, newId) }, note), why);
}

/** Before this time a rotation that has to wait does not begin, as far as anybody knows. */
function freeAt(record: RotationRecord, { policy, now }: Asked): number {
  const { state } = record;
  switch (state.phase) {
    case "grace":
      return Math.max(
        state.since + Math.max(policy.graceAtLeastMs, policy.cacheTtlMs),
        heldUntil(record, now) ?? 0,
      );
    case "retire":
    case "undo":
      return state.notBefore;
    default:
      return now;
  }
}

function as(answer: NativeAnswer["answer"], transition: Transition, why: string): NativeAnswer {
  return { ...transition, answer, why };
}

/** Whether there is a current value that the fleet uses, and nothing on its way that could change it. */
export function isAtRest({ phase }: { readonly phase: Phase }): boolean {
  return phase === "idle" || phase === "grace" || phase === "retire";
}
