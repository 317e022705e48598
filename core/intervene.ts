import type { FleetView } from "./fleet.ts";
import type { Hold, RotationRecord } from "./record.ts";
import { enterRetire, type Surroundings, stay, type Transition } from "./transition.ts";

/** What an operator does to the course of things: stop it, keep the old credential alive, or end it early. */
export type Intervention =
  /** Nothing begins by itself, no grace ends and nothing is retired; a rotation before its announcement still gets there, and an emergency goes on. */
  | { readonly kind: "pause"; readonly by: string; readonly reason: string }
  /** Grace does not end, and a retire that is not forced waits, before that time. Again by the same person: replaced. */
  | { readonly kind: "hold"; readonly by: string; readonly reason: string; readonly until: number }
  /** Ends the holds of one person; undefined: all of them. */
  | { readonly kind: "release"; readonly by: string; readonly whose: string | undefined }
  /** Ends grace now, and tries now to pay what is owed. `insist`: whoever still uses the old credential is cut off. */
  | { readonly kind: "retire"; readonly by: string; readonly insist: boolean };

/** What came of it, in the words of `Answer`. */
export interface Intervened {
  readonly answer: "began" | "joined" | "nothing" | "refused";
  readonly why: string;
  readonly transition: Transition;
}

export function intervene(record: RotationRecord, asked: Intervention, around: Surroundings): Intervened {
  switch (asked.kind) {
    case "pause":
      return pause(record, asked, around);
    case "hold":
      return hold(record, asked, around);
    case "release":
      return release(record, asked, around);
    case "retire":
      return retire(record, asked, around);
  }
}

/** The holds that still last. */
export function activeHolds({ holds }: RotationRecord, now: number): readonly Hold[] {
  return holds.filter((one) => one.until > now);
}

/** The time before which no grace ends because of a hold; undefined where none lasts. */
export function heldUntil(record: RotationRecord, now: number): number | undefined {
  const ends = activeHolds(record, now).map((one) => one.until);
  return ends.length === 0 ? undefined : Math.max(...ends);
}

/** Why grace must not be ended by hand, unless somebody insists; undefined where nothing speaks against it. */
export function objectionTo(record: RotationRecord, fleet: FleetView, now: number): string | undefined {
  // Nobody is asked any more: to ask for it again changes nothing.
  if (record.state.phase === "retire" && record.state.forced) return undefined;
  const holders = activeHolds(record, now).map((one) => `${one.by} (${one.reason})`);
  if (holders.length > 0) return `held by ${holders.join(", ")}`;
  if (record.state.phase !== "grace" && record.state.phase !== "retire") return undefined;
  if (fleet.laggards.length > 0) return `still on the old version: ${fleet.laggards.join(", ")}`;
  if (fleet.adopted === 0) return "no agent has reported that it uses the new version";
  return undefined;
}

function pause(
  record: RotationRecord,
  { by, reason }: { by: string; reason: string },
  { now }: Surroundings,
): Intervened {
  if (record.paused !== undefined) {
    return as(
      "nothing",
      stay(record),
      `it is paused already, by ${record.paused.by}: ${record.paused.reason}`,
    );
  }
  const note = { action: "paused", detail: reason, actor: by };
  return as(
    "began",
    stay({ ...record, paused: { by, reason, at: now } }, note),
    "nothing begins by itself now",
  );
}

function hold(
  record: RotationRecord,
  { by, reason, until }: { by: string; reason: string; until: number },
  { now }: Surroundings,
): Intervened {
  const { state } = record;
  if (state.phase === "retire" && state.forced) {
    return as("refused", stay(record), "the old credential is being cut off already");
  }
  const others = activeHolds(record, now).filter((one) => one.by !== by);
  const held = { ...record, holds: [...others, { by, reason, at: now, until }] };
  const note = { action: "held", detail: `until ${new Date(until).toISOString()}: ${reason}`, actor: by };
  const what = state.phase === "grace" || state.phase === "retire" ? "the old credential" : "the next grace";
  return as("began", stay(held, note), `${what} is kept alive until ${new Date(until).toISOString()}`);
}

function release(
  record: RotationRecord,
  { by, whose }: { by: string; whose: string | undefined },
  { now }: Surroundings,
): Intervened {
  const active = activeHolds(record, now);
  const left = whose === undefined ? [] : active.filter((one) => one.by !== whose);
  if (left.length === active.length) {
    const names = active.map((one) => one.by).join(", ");
    return as("nothing", stay(record), names === "" ? "nobody holds it" : `it is held by ${names} only`);
  }
  const gone = active.filter((one) => !left.includes(one)).map((one) => one.by);
  const note = { action: "released", detail: `the hold of ${gone.join(", ")}`, actor: by };
  return as("began", stay({ ...record, holds: left }, note), `released: the hold of ${gone.join(", ")}`);
}

function retire(
  record: RotationRecord,
  { by, insist }: { by: string; insist: boolean },
  around: Surroundings,
): Intervened {
  const { state } = record;
  if (record.paused !== undefined) {
    return as("refused", stay(record), `it is paused by ${record.paused.by}: resume it first`);
  }
  const why = insist ? `${by} insists` : `asked for by ${by}`;
  switch (state.phase) {
    case "grace": {
      const released = insist ? { ...record, holds: [] } : record;
      const ended = enterRetire(released, state.rotation, { forced: insist, why }, around);
      return as("began", ended, "the grace ends, and the old credential is retired");
    }
    case "retire": {
      if (!insist) return payNow(record, by, around);
      const forced = { ...record, holds: [], state: { ...state, forced: true } };
      return payNow(forced, by, around);
    }
    case "idle":
    case "halted":
      return payNow(record, by, around);
    case "create":
    case "set":
    case "test":
    case "finish":
    case "announce":
    case "undo":
      return as("refused", stay(record), `in ${state.phase} there is no old credential to retire yet`);
  }
}

function payNow(record: RotationRecord, by: string, { now }: Surroundings): Intervened {
  if (record.debts.length === 0) return as("nothing", stay(record), "nothing is owed");
  const versions = record.debts.map((debt) => debt.version).join(", ");
  const debts = record.debts.map((debt) => ({ ...debt, notBefore: Math.min(debt.notBefore, now) }));
  const note = { action: "retire.requested", detail: versions, actor: by };
  return as("began", stay({ ...record, debts }, note), `tried now: ${versions}`);
}

function as(answer: Intervened["answer"], transition: Transition, why: string): Intervened {
  return { answer, transition, why };
}
