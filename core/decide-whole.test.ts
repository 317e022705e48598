import { describe, expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { type Action, decide } from "./decide.ts";
import type { FleetView } from "./fleet.ts";
import type { Policy } from "./ports.ts";
import { type Debt, newRecord, type Rotation, type RotationRecord, type State } from "./record.ts";
import { every } from "./schedule.ts";

const now = 1_000_000;
const longest = defaultTestPolicy.graceAtMostMs;
const mark = (version: string) => ({ version, fingerprint: `print of ${version}` });
const rotation: Rotation = {
  id: "v2",
  kind: "rotate",
  urgent: false,
  requestedBy: "ann",
  startedAt: 0,
  pending: mark("v2"),
  previous: mark("v1"),
};
const first: Rotation = { ...rotation, previous: undefined };
const tries = { attempts: 0, notBefore: now };
const paused = { by: "ann", reason: "a migration", at: 3 };
const idle: State = { phase: "idle" };
const set: State = { phase: "set", rotation, ...tries };
const finish: State = { phase: "finish", rotation, ...tries };
const announce: State = { phase: "announce", rotation, ...tries };
const grace = (changes: Partial<Extract<State, { phase: "grace" }>> = {}): State => ({
  phase: "grace",
  rotation,
  since: now - longest,
  confirmAt: now + 900,
  refusals: 0,
  adopted: true,
  laggardsNamed: false,
  ...tries,
  ...changes,
});
const retire = (changes: Partial<Extract<State, { phase: "retire" }>> = {}): State => ({
  phase: "retire",
  rotation,
  since: now - longest,
  forced: false,
  ...tries,
  ...changes,
});

const nobody: FleetView = { live: 0, adopted: 0, laggards: [], holders: [], gone: [] };
const released: FleetView = { ...nobody, live: 2, adopted: 2 };
const lagging: FleetView = { ...nobody, live: 3, adopted: 1, laggards: ["a", "b"] };

function debt(version: string, changes: Partial<Debt> = {}): Debt {
  return { ...mark(version), reason: "retired", since: 0, cutFirst: false, ...tries, ...changes };
}
const later = { notBefore: now + 30 };

interface Case {
  readonly given: Partial<RotationRecord>;
  readonly fleet?: FleetView;
  readonly policy?: Partial<Policy>;
  readonly overlap?: "cutover";
}

function recordOf({ given }: Case): RotationRecord {
  return { ...newRecord("app/db"), epoch: 7, current: { ...mark("v1"), since: 5 }, ...given };
}

function decided(one: Case): Action {
  const policy = { ...defaultTestPolicy, ...one.policy };
  const around = { policy, overlap: one.overlap ?? "both-live", now, newId: "v3" } as const;
  return decide(recordOf(one), one.fleet ?? nobody, around);
}

const wait = (until?: number): Action => ({ do: "wait", until });
const settle = (owed: Debt, asks: boolean): Action => ({ do: "settle", debt: owed, asks });
const wish = { kind: "rotate", requestedBy: "ann", at: 0 } as const;

const exactly: Readonly<Record<string, Case & { readonly expected: Action }>> = {
  "paused, nothing begins that is wished": { given: { state: idle, paused, wish }, expected: wait() },
  "paused, nothing begins that is scheduled": {
    given: { state: idle, paused },
    policy: { schedule: every(1) },
    expected: wait(),
  },
  "paused, no debt is paid": { given: { state: idle, paused, debts: [debt("v0")] }, expected: wait() },
  "paused, what has leaked is cut": {
    given: { state: idle, paused, debts: [debt("v0"), debt("v9", { reason: "leaked" })] },
    expected: settle(debt("v9", { reason: "leaked" }), false),
  },
  "paused, grace does not end, whoever has released": {
    given: { state: grace(), paused },
    fleet: released,
    expected: wait(now + 900),
  },
  "paused, grace goes on trying the new one": {
    given: { state: grace({ confirmAt: now }), paused },
    fleet: released,
    expected: { do: "step", step: "confirm" },
  },
  "paused, retire waits": {
    given: { state: retire(), paused, debts: [debt("v1")] },
    fleet: released,
    expected: wait(),
  },
  "paused, a retire of what has leaked goes on": {
    given: { state: retire(), paused, debts: [debt("v1", { reason: "leaked" })] },
    fleet: released,
    expected: settle(debt("v1", { reason: "leaked" }), true),
  },
  "a candidate that is being published is not cut: finish": {
    given: { state: finish, debts: [debt("v2", { cutFirst: true })] },
    expected: { do: "step", step: "finish" },
  },
  "a candidate that is being published is not cut: announce": {
    given: { state: announce, debts: [debt("v2", { cutFirst: true })] },
    expected: { do: "step", step: "announce" },
  },
  "a candidate that is not yet published may be cut": {
    given: { state: set, debts: [debt("v2", { cutFirst: true })] },
    expected: settle(debt("v2", { cutFirst: true }), false),
  },
  "another one may be cut while a candidate is published": {
    given: { state: finish, debts: [debt("v0", { cutFirst: true })] },
    expected: settle(debt("v0", { cutFirst: true }), false),
  },
  "no try waits longer than the longest pause between two": {
    given: { state: { ...set, notBefore: now + defaultTestPolicy.retryMaxMs } },
    expected: wait(now + defaultTestPolicy.retryMaxMs),
  },
  "a time further ahead is that of a clock that was wrong": {
    given: { state: { ...set, notBefore: now + defaultTestPolicy.retryMaxMs + 1 } },
    expected: { do: "step", step: "set" },
  },
  "a set of a cutover type comes before debts": {
    given: { state: set, debts: [debt("v0")] },
    overlap: "cutover",
    expected: { do: "step", step: "set" },
  },
  "idle, of a cutover type, a debt that waits is waited for": {
    given: { state: idle, debts: [debt("v0", later)] },
    overlap: "cutover",
    policy: { schedule: every(1) },
    expected: wait(now + 30),
  },
  "idle, of a cutover type, a debt that waits goes before a wish to roll back": {
    given: { state: idle, debts: [debt("v0", later)], wish: { ...wish, kind: "rollback" } },
    overlap: "cutover",
    expected: wait(now + 30),
  },
  "retire of a first version pays another debt": {
    given: { state: retire({ rotation: first }), debts: [debt("v0")] },
    expected: settle(debt("v0"), false),
  },
  "retire, having named the laggards, waits for them": {
    given: { state: retire({ attempts: 1 }), debts: [debt("v1")] },
    fleet: lagging,
    expected: wait(now + 500),
  },
};

test.each(Object.entries(exactly))("%s", (_, { expected, ...one }) => {
  expect(decided(one)).toEqual(expected);
});

describe("what is written and told of a change", () => {
  const told = (type: string, step: string, data: object) => [{ type: `dev.keyturn.${type}.v1`, step, data }];
  const still = "still on the old version at the end of the grace window: a, b";
  const failed = told("rotation.failed", "laggards/v2", {
    epoch: 7,
    outcome: "laggards",
    code: "request-refused",
    reason: still,
  });
  const adopted = told("secret.adopted", "adopted", { epoch: 7, version: "v2", agents: 2 });
  const published = { current: { ...mark("v2"), since: 5 } };
  const young = grace({ since: now, adopted: false });

  test.each<readonly [string, Case, string, string, string, object[]]>([
    [
      "a wish to roll back that comes too late",
      { given: { state: idle, wish: { ...wish, kind: "rollback" } } },
      "idle",
      "rollback.dropped",
      "the old credential is retired: rotate instead",
      [],
    ],
    [
      "a rotation of a cutover type, whose set is what pays",
      { given: { state: idle, debts: [debt("v0", later)], wish }, overlap: "cutover" },
      "create",
      "rotate.began",
      "requested by ann",
      [],
    ],
    [
      "a fleet that has adopted it",
      { given: { state: young, ...published }, fleet: released },
      "grace",
      "grace.adopted",
      "by 2 of 2 live agents",
      adopted,
    ],
    [
      "a fleet that has adopted it, but for those who are silent",
      { given: { state: young, ...published }, fleet: { ...released, gone: ["c", "d"] } },
      "grace",
      "grace.adopted",
      "by 2 of 2 live agents; silent, and not waited for: c, d",
      adopted,
    ],
    [
      "a fleet that has released the old one",
      { given: { state: grace(), ...published }, fleet: released },
      "retire",
      "retire.began",
      "every live agent has released it",
      [],
    ],
    [
      "a fleet that is silent to the end",
      { given: { state: grace(), ...published } },
      "retire",
      "retire.began",
      "the longest grace is over, and no agent reports it",
      [],
    ],
    [
      "laggards who are cut off",
      { given: { state: grace(), ...published }, fleet: lagging, policy: { onLaggards: "retire" } },
      "retire",
      "retire.began",
      "the longest grace is over; cut off: a, b",
      [],
    ],
    [
      "laggards who are waited for",
      { given: { state: grace(), ...published }, fleet: lagging },
      "grace",
      "grace.laggards",
      still,
      failed,
    ],
    [
      "laggards who came back in retire, at the very end of the longest grace",
      { given: { state: retire(), debts: [debt("v1")], ...published }, fleet: lagging },
      "retire",
      "grace.laggards",
      still,
      failed,
    ],
    [
      "the end of a retire that has nothing to retire, though another debt waits",
      { given: { state: retire({ rotation: first }), debts: [debt("v0", later)], ...published } },
      "idle",
      "rotation.ended",
      "",
      [],
    ],
  ])("%s", (_, one, phase, action, detail, events) => {
    const after = decided(one);
    if (after.do !== "change") throw new Error(`it did ${after.do}`);
    expect(after.transition.record.state.phase).toBe(phase);
    expect(after.transition.notes).toMatchObject([{ action, detail }]);
    expect(after.transition.events).toEqual(events);
  });
});
