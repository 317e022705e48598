import { describe, expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { type Action, decide, needsFleet } from "./decide.ts";
import type { FleetView } from "./fleet.ts";
import type { Policy } from "./ports.ts";
import { type Debt, newRecord, type Rotation, type RotationRecord, type State } from "./record.ts";
import { every } from "./schedule.ts";

const now = 1_000_000;
/** Grace lasts from 2 s to 60 s, agents are looked for twice a cache TTL. */
const policy: Policy = {
  ...defaultTestPolicy,
  cacheTtlMs: 1_000,
  graceAtLeastMs: 2_000,
  graceAtMostMs: 60_000,
};
const pollMs = 500;
const mark = (version: string) => ({ version, fingerprint: `print of ${version}` });
const rotation: Rotation = {
  id: "v2",
  kind: "rotate",
  urgent: false,
  requestedBy: "schedule",
  startedAt: 0,
  pending: mark("v2"),
  previous: mark("v1"),
};
const urgent: Rotation = { ...rotation, urgent: true };
const tries = { attempts: 0, notBefore: now };

const nobody: FleetView = { live: 0, adopted: 0, laggards: [], holders: [], gone: [] };
const released: FleetView = { ...nobody, live: 2, adopted: 2 };
const lagging: FleetView = { ...nobody, live: 2, adopted: 1, laggards: ["a"] };
const waiting: FleetView = { ...nobody, live: 2 };

function record(changes: Partial<RotationRecord> = {}): RotationRecord {
  return { ...newRecord("app/db"), epoch: 7, current: { ...mark("v1"), since: now - 5_000 }, ...changes };
}

function debt(version: string, changes: Partial<Debt> = {}): Debt {
  return { ...mark(version), reason: "leaked", since: 0, cutFirst: false, ...tries, ...changes };
}

function step(
  phase: "create" | "set" | "test" | "finish" | "announce",
  changes: { rotation?: Rotation; notBefore?: number } = {},
): State {
  return { phase, rotation, ...tries, ...changes };
}

function grace(changes: Partial<Extract<State, { phase: "grace" }>> = {}): State {
  return {
    phase: "grace",
    rotation,
    since: now - 100,
    confirmAt: now + 10_000,
    refusals: 0,
    adopted: false,
    laggardsNamed: false,
    ...tries,
    ...changes,
  };
}

function retire(changes: Partial<Extract<State, { phase: "retire" }>> = {}): State {
  return { phase: "retire", rotation, since: now - 100, forced: false, ...tries, ...changes };
}

const undo: State = { phase: "undo", rotation, reason: "cancelled", ...tries };
const halted: State = { phase: "halted", rotation, from: "set", code: "internal", reason: "", at: 0 };
const published = { current: { ...mark("v2"), since: now - 100 } };
const leaked = { version: "v1", reportedBy: "ann", at: 0 };

/** In words: what is done, to what, and the first note of a change. */
function shown(action: Action): string {
  switch (action.do) {
    case "step":
      return `step ${action.step}`;
    case "settle":
      return `settle ${action.debt.version}${action.asks ? ", asking" : ""}`;
    case "wait":
      return action.until === undefined ? "wait" : `wait ${action.until - now}`;
    case "change": {
      const { state } = action.transition.record;
      const notes = action.transition.notes.map((note) => note.action);
      const forced = state.phase === "retire" && state.forced ? ["forced"] : [];
      return [`to ${state.phase}`, ...notes, ...forced].join(", ");
    }
  }
}

interface Case {
  readonly record: RotationRecord;
  readonly fleet?: FleetView;
  readonly policy?: Partial<Policy>;
  readonly expected: string;
}

function decided({ record: from, fleet = nobody, policy: changes = {} }: Omit<Case, "expected">): Action {
  return decide(from, fleet, { policy: { ...policy, ...changes }, overlap: "both-live", now, newId: "new" });
}

function describeCases(name: string, cases: Readonly<Record<string, Case>>): void {
  describe(name, () => {
    test.each(Object.entries(cases))("%s", (_, one) => {
      expect(shown(decided(one))).toBe(one.expected);
    });
  });
}

const everyMs = 5_000;
const wish = { requestedBy: "ann", at: 0 };

describeCases("idle", {
  "without a schedule waits for a request": { record: record(), expected: "wait" },
  "waits until current is old enough": {
    record: record(),
    policy: { schedule: every(6_000) },
    expected: "wait 1000",
  },
  "begins at the very moment": {
    record: record(),
    policy: { schedule: every(everyMs) },
    expected: "to create, rotate.began",
  },
  "without a current version has nothing to schedule by": {
    record: { ...newRecord("app/db") },
    policy: { schedule: every(everyMs) },
    expected: "wait",
  },
  "a wish to rotate begins": {
    record: record({ wish: { ...wish, kind: "rotate" } }),
    expected: "to create, rotate.began",
  },
  "a wish to roll back is dropped where grace is over": {
    record: record({ wish: { ...wish, kind: "rollback" } }),
    expected: "to idle, rollback.dropped",
  },
  "a compromised current is replaced at once": {
    record: record({ compromised: [leaked] }),
    expected: "to create, rotate.began",
  },
  "a compromised value is, under whatever version": {
    record: record({ compromised: [{ ...leaked, version: "v0", fingerprint: mark("v1").fingerprint }] }),
    expected: "to create, rotate.began",
  },
  "another version's compromise is none of current's": {
    record: record({ compromised: [{ ...leaked, version: "v0" }] }),
    expected: "wait",
  },
  "an emergency that keeps failing waits": {
    record: record({ compromised: [leaked], urgentNotBefore: now + 700 }),
    expected: "wait 700",
  },
  "and begins at the very moment": {
    record: record({ compromised: [leaked], urgentNotBefore: now }),
    expected: "to create, rotate.began",
  },
  "an emergency goes before a wish": {
    record: record({ compromised: [leaked], urgentNotBefore: now + 700, wish: { ...wish, kind: "rotate" } }),
    expected: "wait 700",
  },
  "a debt is paid before a wish begins": {
    record: record({ debts: [debt("v0")], wish: { ...wish, kind: "rotate" } }),
    expected: "settle v0",
  },
  "a wish waits for a debt that waits": {
    record: record({ debts: [debt("v0", { notBefore: now + 300 })], wish: { ...wish, kind: "rotate" } }),
    expected: "wait 300",
  },
  "the schedule waits for a debt that waits": {
    record: record({ debts: [debt("v0", { notBefore: now + 300 })] }),
    policy: { schedule: every(everyMs) },
    expected: "wait 300",
  },
  "an emergency does not wait for a debt that waits": {
    record: record({ debts: [debt("v0", { notBefore: now + 300 })], compromised: [leaked] }),
    expected: "to create, rotate.began",
  },
});

describe("who began it is kept", () => {
  test.each([
    ["schedule", { record: record(), policy: { schedule: every(everyMs) } }, "schedule", false],
    ["wish", { record: record({ wish: { ...wish, kind: "rotate" } }) }, "ann", false],
    ["emergency", { record: record({ compromised: [leaked] }) }, "emergency", true],
  ] as const)("%s", (_, from, requestedBy, isUrgent) => {
    const action = decided(from);
    if (action.do !== "change") throw new Error(`it did ${action.do}`);
    const { state, epoch, wish: left } = action.transition.record;
    expect(state).toMatchObject({
      phase: "create",
      rotation: { id: "new", requestedBy, urgent: isUrgent, previous: mark("v1") },
    });
    expect(epoch).toBe(8);
    expect(left).toBeUndefined();
  });
});

describe.each(["create", "set", "test", "finish", "announce"] as const)("%s", (phase) => {
  const cases: Readonly<Record<string, Case>> = {
    "is carried out": { record: record({ state: step(phase) }), expected: `step ${phase}` },
    "waits for its next try": {
      record: record({ state: step(phase, { notBefore: now + 250 }) }),
      expected: "wait 250",
    },
    "is tried at the very moment": {
      record: record({ state: step(phase, { notBefore: now }) }),
      expected: `step ${phase}`,
    },
    "comes after a debt that is due": {
      record: record({ state: step(phase), debts: [debt("v0")] }),
      expected: "settle v0",
    },
    "comes before a debt that waits": {
      record: record({ state: step(phase), debts: [debt("v0", { notBefore: now + 1 })] }),
      expected: `step ${phase}`,
    },
    "while it waits, a debt may be due sooner": {
      record: record({
        state: step(phase, { notBefore: now + 250 }),
        debts: [debt("v0", { notBefore: now + 100 }), debt("v00", { notBefore: now + 200 })],
      }),
      expected: "wait 100",
    },
    "of an urgent rotation comes before debts": {
      record: record({ state: step(phase, { rotation: urgent }), debts: [debt("v0")] }),
      expected: `step ${phase}`,
    },
    "of an urgent rotation that has to wait leaves time for what has leaked, and for nothing else": {
      record: record({
        state: step(phase, { rotation: urgent, notBefore: now + 250 }),
        debts: [debt("v0", { reason: "superseded" }), debt("v00", { notBefore: now + 100 })],
      }),
      expected: "wait 100",
    },
    "of an urgent rotation comes after a debt that is cut first": {
      record: record({
        state: step(phase, { rotation: urgent }),
        debts: [debt("v0"), debt("v1", { cutFirst: true })],
      }),
      expected: "settle v1",
    },
  };
  test.each(Object.entries(cases))("%s", (_, one) => {
    expect(shown(decided(one))).toBe(one.expected);
  });
});

/** Since is so long ago that the window of that length is over at this very moment. */
const atLeastOver = { since: now - policy.graceAtLeastMs };
const atMostOver = { since: now - policy.graceAtMostMs };
const inGrace = (changes: Parameters<typeof grace>[0] = {}, rest: Partial<RotationRecord> = {}) =>
  record({ ...published, state: grace(changes), ...rest });

describeCases("grace", {
  "waits at least as long as it must": { record: inGrace(), expected: "wait 1900" },
  "is never shorter than a cache TTL": {
    record: inGrace(),
    policy: { graceAtLeastMs: 0 },
    expected: "wait 900",
  },
  "tells at once that all have adopted it": {
    record: inGrace(),
    fleet: released,
    expected: "to grace, grace.adopted",
  },
  "tells it once, and waits on": {
    record: inGrace({ adopted: true }),
    fleet: released,
    expected: "wait 1900",
  },
  "tells it before it retires": {
    record: inGrace(atLeastOver),
    fleet: released,
    expected: "to grace, grace.adopted",
  },
  "ends with the least time when all have released the old one": {
    record: inGrace({ ...atLeastOver, adopted: true }),
    fleet: released,
    expected: "to retire, retire.began",
  },
  "does not end a millisecond before": {
    record: inGrace({ since: atLeastOver.since + 1, adopted: true }),
    fleet: released,
    expected: "wait 1",
  },
  "looks again twice a cache TTL while someone uses the old one": {
    record: inGrace(atLeastOver),
    fleet: lagging,
    expected: `wait ${pollMs}`,
  },
  "goes on while agents live that have not used the new one": {
    record: inGrace(atLeastOver),
    fleet: waiting,
    expected: `wait ${pollMs}`,
  },
  "silence proves nothing: it lasts as long as it may": {
    record: inGrace(atLeastOver),
    expected: `wait ${pollMs}`,
  },
  "wakes at the end of the longest grace": {
    record: inGrace({ since: atMostOver.since + 100 }),
    fleet: lagging,
    expected: "wait 100",
  },
  "of a silent fleet ends with the longest grace": {
    record: inGrace(atMostOver),
    expected: "to retire, retire.began",
  },
  "names the laggards at the end, if the policy is to hold": {
    record: inGrace(atMostOver),
    fleet: lagging,
    expected: "to grace, grace.laggards",
  },
  "names them once, and holds": {
    record: inGrace({ ...atMostOver, laggardsNamed: true }),
    fleet: lagging,
    expected: `wait ${pollMs}`,
  },
  "cuts the laggards off at the end, if the policy is to retire": {
    record: inGrace(atMostOver),
    fleet: lagging,
    policy: { onLaggards: "retire" },
    expected: "to retire, retire.began, forced",
  },
  "does not cut them off before": {
    record: inGrace(atLeastOver),
    fleet: lagging,
    policy: { onLaggards: "retire" },
    expected: `wait ${pollMs}`,
  },
  "the longest grace is never shorter than the shortest": {
    record: inGrace({ since: now - 100 }),
    policy: { graceAtMostMs: 50 },
    expected: "wait 1900",
  },
  "tries the new one again from time to time": {
    record: inGrace({ confirmAt: now }),
    expected: "step confirm",
  },
  "wakes for that": { record: inGrace({ confirmAt: now + 40 }), expected: "wait 40" },
  "goes on trying it while it holds": {
    record: inGrace({ ...atMostOver, laggardsNamed: true, confirmAt: now - 1 }),
    fleet: lagging,
    expected: "step confirm",
  },
  "a wish to roll back begins at once": {
    record: inGrace({}, { wish: { ...wish, kind: "rollback" } }),
    expected: "to create, rollback.began",
  },
  "a wish to roll back to a compromised version is dropped": {
    record: inGrace({}, { wish: { ...wish, kind: "rollback" }, compromised: [leaked] }),
    expected: "to grace",
  },
  "a wish to rotate waits until the slot is free": {
    record: inGrace({}, { wish: { ...wish, kind: "rotate" } }),
    expected: "wait 1900",
  },
  "a debt is paid before anything else": {
    record: inGrace({ confirmAt: now }, { debts: [debt("v0")] }),
    fleet: released,
    expected: "settle v0",
  },
  "wakes for a debt that waits": {
    record: inGrace({}, { debts: [debt("v0", { notBefore: now + 30 })] }),
    expected: "wait 30",
  },
  "of a first version has nothing to retire": {
    record: inGrace({ ...atMostOver, rotation: { ...rotation, previous: undefined } }),
    expected: "to idle, rotation.ended",
  },
});

const owed = (changes: Partial<Debt> = {}) => [debt("v1", { reason: "retired", ...changes })];
const inRetire = (changes: Parameters<typeof retire>[0] = {}, debts: RotationRecord["debts"] = owed()) =>
  record({ ...published, state: retire(changes), debts });

describeCases("retire", {
  "asks whether somebody still uses it": { record: inRetire(), expected: "settle v1, asking" },
  "asks where the fleet has released it": {
    record: inRetire(),
    fleet: released,
    expected: "settle v1, asking",
  },
  "waits for an agent that has it after all": {
    record: inRetire(),
    fleet: lagging,
    expected: `wait ${pollMs}`,
  },
  "forced asks nobody": { record: inRetire({ forced: true }), fleet: lagging, expected: "settle v1" },
  "waits one cache TTL first": {
    record: inRetire({}, owed({ notBefore: now + 900 })),
    expected: "wait 900",
  },
  "cuts at last, if the policy is to retire": {
    record: inRetire(atMostOver),
    fleet: lagging,
    policy: { onLaggards: "retire" },
    expected: "settle v1",
  },
  "does not cut before": {
    record: inRetire({ since: atMostOver.since + 1 }),
    fleet: lagging,
    policy: { onLaggards: "retire" },
    expected: `wait ${pollMs}`,
  },
  "names who came back to it, once, and holds for good if the policy is to hold": {
    record: inRetire({ since: 0 }),
    fleet: lagging,
    expected: "to retire, grace.laggards",
  },
  "ends when nothing is owed on its slot": {
    record: inRetire({}, []),
    expected: "to idle, rotation.ended",
  },
  "pays another debt first": {
    record: inRetire({}, [...owed(), debt("v0")]),
    fleet: lagging,
    expected: "settle v0",
  },
  "ends although another debt waits": {
    record: inRetire({}, [debt("v0", { notBefore: now + 10 })]),
    expected: "to idle, rotation.ended",
  },
  "knows its debt by value: another version with the same value": {
    record: inRetire({}, [debt("v0", { fingerprint: mark("v1").fingerprint })]),
    fleet: lagging,
    expected: `wait ${pollMs}`,
  },
  "a debt that is cut first is not asked about, not even here": {
    record: inRetire({}, owed({ cutFirst: true })),
    fleet: lagging,
    expected: "settle v1",
  },
});

describeCases("undo and halted", {
  "undo is carried out": { record: record({ state: undo }), expected: "step undo" },
  "undo waits for its next try": {
    record: record({ state: { ...undo, notBefore: now + 5 } }),
    expected: "wait 5",
  },
  "undo comes after a debt": { record: record({ state: undo, debts: [debt("v0")] }), expected: "settle v0" },
  "halted waits for a person": { record: record({ state: halted }), expected: "wait" },
  "halted begins nothing, whatever is wished, scheduled or leaked": {
    record: record({ state: halted, wish: { ...wish, kind: "rotate" }, compromised: [leaked] }),
    policy: { schedule: every(1) },
    expected: "wait",
  },
  "halted goes on to pay what is owed": {
    record: record({ state: halted, debts: [debt("v0")] }),
    expected: "settle v0",
  },
  "halted wakes for what is owed": {
    record: record({ state: halted, debts: [debt("v0", { notBefore: now + 60 })] }),
    expected: "wait 60",
  },
});

test("debts are paid in the order in which they stand, the first that is due", () => {
  const debts = [debt("v0", { notBefore: now + 1 }), debt("v00"), debt("v000")];
  expect(shown(decided({ record: record({ debts }) }))).toBe("settle v00");
});

test.each([
  ["adopted", inGrace(), released, { adopted: true }, "by 2 of 2 live agents"],
  ["adopted, some silent", inGrace(), { ...released, gone: ["b"] }, { adopted: true }, /not waited for: b$/],
  ["laggards", inGrace(atMostOver), lagging, { laggardsNamed: true }, /: a$/],
] as const)("grace tells who once, and remembers that it did: %s", (_, from, fleet, state, detail) => {
  const action = decided({ record: from, fleet });
  if (action.do !== "change") throw new Error(`it did ${action.do}`);
  const { record: after, notes, events } = action.transition;
  expect(after.state).toMatchObject(state);
  expect(notes[0]?.detail).toMatch(detail);
  expect(events).toHaveLength(1);
  expect(events[0]?.data).toMatchObject(
    "adopted" in state ? { version: "v2", agents: 2 } : { outcome: "laggards", reason: notes[0]?.detail },
  );
});

test("deciding changes nothing of what it was given", () => {
  const from = inGrace(atMostOver, { debts: [debt("v0", { notBefore: now + 1 })] });
  const before = structuredClone(from);
  decided({ record: from, fleet: lagging });
  decided({ record: from, fleet: released });
  expect(from).toEqual(before);
});

test.each([
  ["idle", { phase: "idle" }, false],
  ["set", step("set"), false],
  ["grace", grace(), true],
  ["retire", retire(), true],
  ["undo", undo, false],
  ["halted", halted, false],
] as const)("whether %s needs the agents' reports", (_, state, expected) => {
  expect(needsFleet(state)).toBe(expected);
});
