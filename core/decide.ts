import { pollMs } from "./debt.ts";
import { type FleetView, isReleased } from "./fleet.ts";
import { heldUntil } from "./intervene.ts";
import type { Debt, Rotation, RotationRecord, State } from "./record.ts";
import { rollForward } from "./request.ts";
import {
  begin,
  enterIdle,
  enterRetire,
  failed,
  isCompromised,
  type Surroundings,
  stay,
  type Transition,
} from "./transition.ts";

/** Who asked for a rotation that began by itself. */
export const scheduled = "schedule";

export type StepName = "create" | "set" | "test" | "finish" | "announce" | "undo" | "confirm";

/** What to do now. */
export type Action =
  /** Carry out one step and hand its outcome to `next`. */
  | { readonly do: "step"; readonly step: StepName }
  /** Make the target refuse an owed credential. `asks`: only if nobody uses it there. */
  | { readonly do: "settle"; readonly debt: Debt; readonly asks: boolean }
  /** Only the record changes. */
  | { readonly do: "change"; readonly transition: Transition }
  /** Nothing, until then; undefined: until somebody asks. */
  | { readonly do: "wait"; readonly until: number | undefined };

/** Whether the decision needs the agents' reports. */
export function needsFleet(state: State): boolean {
  return state.phase === "grace" || state.phase === "retire";
}

/** Reads the record and says what comes next. Pure; the fleet is only looked at where `needsFleet`. */
export function decide(record: RotationRecord, fleet: FleetView, around: Surroundings): Action {
  const { now } = around;
  const payable = record.debts.filter((debt) => mayPay(record, debt, around));
  const due = payable.find((debt) => debt.notBefore <= now);
  if (due !== undefined) return { do: "settle", debt: due, asks: false };
  const action = decideState(record, fleet, around);
  if (action.do !== "wait") return action;
  return { do: "wait", until: earliest([action.until, ...payable.map((debt) => debt.notBefore)]) };
}

/**
 * Debts are paid before other work, with three exceptions: an urgent rotation, and any of a cutover type, publishes the successor first
 * (its set makes what is owed on its slot refused), unless an urgent one has to wait itself; a candidate that is being published is not cut; and what a retire
 * is for is paid by retire's own rules.
 */
function mayPay(
  { state, paused }: RotationRecord,
  debt: Debt,
  around: Pick<Surroundings, "now" | "overlap" | "policy">,
): boolean {
  const { overlap } = around;
  if (paused !== undefined && debt.reason !== "leaked") return false;
  const publishing = state.phase === "finish" || state.phase === "announce";
  if (publishing && debt.version === state.rotation.id) return false;
  if (debt.cutFirst) return true;
  switch (state.phase) {
    case "create":
    case "set":
    case "test":
    case "finish":
    case "announce":
      if (debt.reason === "leaked" && isAhead(state.notBefore, around)) return true;
      return !state.rotation.urgent && overlap === "both-live";
    case "retire":
      return debt.fingerprint !== state.rotation.previous?.fingerprint;
    case "idle":
    case "grace":
    case "undo":
    case "halted":
      return true;
  }
}

function decideState(record: RotationRecord, fleet: FleetView, around: Surroundings): Action {
  const { state } = record;
  switch (state.phase) {
    case "idle":
      return decideIdle(record, around);
    case "create":
    case "set":
    case "test":
    case "finish":
    case "announce":
    case "undo":
      return isAhead(state.notBefore, around)
        ? { do: "wait", until: state.notBefore }
        : { do: "step", step: state.phase };
    case "grace":
      return decideGrace(record, state, fleet, around);
    case "retire":
      return decideRetire(record, state, fleet, around);
    case "halted":
      return { do: "wait", until: undefined };
  }
}

function decideIdle(record: RotationRecord, around: Surroundings): Action {
  const { now, policy } = around;
  if (isCompromised(record, record.current)) {
    return isAhead(record.urgentNotBefore, around)
      ? { do: "wait", until: record.urgentNotBefore }
      : change(begin(record, { kind: "rotate", urgent: true, requestedBy: "emergency" }, around));
  }
  if (record.paused !== undefined) return { do: "wait", until: undefined };
  // A rotation takes the slot that a debt still holds: it waits until the debt is paid. A cutover type's set is what pays.
  if (record.debts.length > 0 && !(around.overlap === "cutover" && record.wish?.kind === "rotate")) {
    return { do: "wait", until: undefined };
  }
  if (record.wish !== undefined) {
    const { requestedBy } = record.wish;
    if (record.wish.kind === "rollback") {
      const late = { action: "rollback.dropped", detail: "the old credential is retired: rotate instead" };
      return change(stay({ ...record, wish: undefined }, late));
    }
    return change(begin(record, { kind: "rotate", urgent: false, requestedBy }, around));
  }
  if (policy.schedule === undefined || record.current === undefined) return { do: "wait", until: undefined };
  const begins = Math.max(
    policy.schedule.next(record.current.since, now),
    record.scheduleNotBefore,
    around.quotaOpensAt ?? 0,
  );
  return now < begins
    ? { do: "wait", until: begins }
    : change(begin(record, { kind: "rotate", urgent: false, requestedBy: scheduled }, around));
}

function decideGrace(
  record: RotationRecord,
  state: Extract<State, { phase: "grace" }>,
  fleet: FleetView,
  around: Surroundings,
): Action {
  const { now, policy } = around;
  const { rotation } = state;
  if (record.wish?.kind === "rollback") {
    const rolled = rollForward(
      { ...record, wish: undefined },
      rotation.previous,
      record.wish.requestedBy,
      around,
    );
    return change(rolled);
  }
  const allowed = state.since + Math.max(policy.graceAtLeastMs, policy.cacheTtlMs);
  const earliestEnd = Math.max(allowed, heldUntil(record, now) ?? 0);
  const latestEnd = Math.max(earliestEnd, state.since + policy.graceAtMostMs);
  if (isReleased(fleet) && !state.adopted) return change(adopted(record, state, fleet));
  if (record.paused !== undefined) {
    return now >= state.confirmAt ? { do: "step", step: "confirm" } : { do: "wait", until: state.confirmAt };
  }
  const retire = (forced: boolean, why: string): Action =>
    change(enterRetire(record, rotation, { forced, why }, around));
  if (now >= earliestEnd && isReleased(fleet)) return retire(false, "every live agent has released it");
  if (now >= latestEnd && fleet.laggards.length === 0) {
    return retire(false, "the longest grace is over, and no agent reports it");
  }
  if (now >= latestEnd && policy.onLaggards === "retire") {
    return retire(true, `the longest grace is over; cut off: ${fleet.laggards.join(", ")}`);
  }
  if (now >= latestEnd && !state.laggardsNamed) {
    return change(laggardsNamed({ ...record, state: { ...state, laggardsNamed: true } }, rotation, fleet));
  }
  if (now >= state.confirmAt) return { do: "step", step: "confirm" };
  const nextLook = now < earliestEnd ? earliestEnd : now + pollMs(policy);
  return {
    do: "wait",
    until: earliest([nextLook, state.confirmAt, now < latestEnd ? latestEnd : undefined]),
  };
}

function adopted(
  record: RotationRecord,
  state: Extract<State, { phase: "grace" }>,
  fleet: FleetView,
): Transition {
  const version = state.rotation.id;
  const gone = fleet.gone.length === 0 ? "" : `; silent, and not waited for: ${fleet.gone.join(", ")}`;
  return {
    record: { ...record, state: { ...state, adopted: true } },
    notes: [
      { action: "grace.adopted", detail: `by ${fleet.adopted} of ${fleet.live} live agents${gone}`, version },
    ],
    events: [
      {
        type: "dev.keyturn.secret.adopted.v1",
        step: "adopted",
        data: { epoch: record.epoch, version, agents: fleet.adopted },
      },
    ],
  };
}

function laggardsNamed(record: RotationRecord, rotation: Rotation, fleet: FleetView): Transition {
  const reason = `still on the old version at the end of the grace window: ${fleet.laggards.join(", ")}`;
  return {
    record,
    notes: [{ action: "grace.laggards", detail: reason, version: rotation.id }],
    events: [failed(record.epoch, "laggards", rotation.id, { code: "request-refused", message: reason })],
  };
}

function decideRetire(
  record: RotationRecord,
  state: Extract<State, { phase: "retire" }>,
  fleet: FleetView,
  { now, policy }: Surroundings,
): Action {
  const debt = record.debts.find((other) => other.fingerprint === state.rotation.previous?.fingerprint);
  if (debt === undefined) return change(enterIdle(record, state.rotation));
  if (record.paused !== undefined && debt.reason !== "leaked") return { do: "wait", until: undefined };
  const kept = state.forced ? undefined : heldUntil(record, now);
  const notBefore = Math.max(debt.notBefore, kept ?? 0);
  if (now < notBefore) return { do: "wait", until: notBefore };
  const cuts = state.forced || (policy.onLaggards === "retire" && now >= state.since + policy.graceAtMostMs);
  // A hold may have slipped in just before retire began.
  if (!cuts && fleet.laggards.length > 0) {
    const late = now >= state.since + policy.graceAtMostMs && state.attempts === 0;
    if (late)
      return change(laggardsNamed({ ...record, state: { ...state, attempts: 1 } }, state.rotation, fleet));
    return { do: "wait", until: now + pollMs(policy) };
  }
  return { do: "settle", debt, asks: !cuts };
}

function change(transition: Transition): Action {
  return { do: "change", transition };
}

/** Whether a retry is still to wait. None waits longer than the longest: a time further ahead is that of a clock that was wrong. */
function isAhead(notBefore: number, { now, policy }: Pick<Surroundings, "now" | "policy">): boolean {
  return notBefore > now && notBefore <= now + policy.retryMaxMs;
}

function earliest(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
