import { describe, expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { type Action, decide } from "./decide.ts";
import type { FleetView } from "./fleet.ts";
import { activeHolds, heldUntil, intervene, objectionTo } from "./intervene.ts";
import { type Debt, newRecord, type Rotation, type RotationRecord, type State } from "./record.ts";
import { answer, type Request } from "./request.ts";
import { every } from "./schedule.ts";

const now = 1_000_000;
const around = { policy: defaultTestPolicy, overlap: "both-live" as const, now, newId: "new" };
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
const tries = { attempts: 0, notBefore: 0 };
const seen = { refusals: 0, adopted: true, laggardsNamed: false };
const states = {
  idle: { phase: "idle" },
  create: { phase: "create", rotation, ...tries },
  set: { phase: "set", rotation, ...tries },
  test: { phase: "test", rotation, ...tries },
  finish: { phase: "finish", rotation, ...tries },
  announce: { phase: "announce", rotation, ...tries },
  grace: { phase: "grace", rotation, since: 0, confirmAt: now + 10, ...seen, ...tries },
  retire: { phase: "retire", rotation, since: 0, forced: false, ...tries },
  "forced retire": { phase: "retire", rotation, since: 0, forced: true, ...tries },
  undo: { phase: "undo", rotation, reason: "cancelled", ...tries },
  halted: { phase: "halted", rotation, from: "grace", code: "internal", reason: "a defect", at: 0 },
} satisfies Record<string, State>;
type StateName = keyof typeof states;

const debt: Debt = {
  ...mark("v1"),
  reason: "retired",
  since: 0,
  cutFirst: false,
  ...tries,
  notBefore: now + 99,
};
const released: FleetView = { live: 1, adopted: 1, laggards: [], holders: [], gone: [] };

const silent: FleetView = { ...released, live: 0, adopted: 0 };

function recordIn(name: StateName): RotationRecord {
  const owes = states[name].phase === "retire";
  const current = { ...mark(["idle", "create", "set", "test"].includes(name) ? "v1" : "v2"), since: 0 };
  return { ...newRecord("app/db"), epoch: 7, current, debts: owes ? [debt] : [], state: states[name] };
}

const pause = { kind: "pause", by: "ann", reason: "audit week" } as const;
const hold = { kind: "hold", by: "ann", reason: "long report", until: now + 5_000 } as const;
const retire = { kind: "retire", by: "ann", insist: false } as const;
const insists = { ...retire, insist: true } as const;

/** answer, phase after, forced after (of a retire), how far the epoch rises. */
type Cell = readonly [answer: string, phase: string, forced: boolean | undefined, epochs: number];
const unpublished: Cell = ["refused", "", undefined, 0];
const retireTable: Readonly<Record<StateName, readonly [asked: Cell, insisted: Cell]>> = {
  idle: [
    ["nothing", "idle", undefined, 0],
    ["nothing", "idle", undefined, 0],
  ],
  create: [unpublished, unpublished],
  set: [unpublished, unpublished],
  test: [unpublished, unpublished],
  finish: [unpublished, unpublished],
  announce: [unpublished, unpublished],
  undo: [unpublished, unpublished],
  grace: [
    ["began", "retire", false, 1],
    ["began", "retire", true, 1],
  ],
  retire: [
    ["began", "retire", false, 0],
    ["began", "retire", true, 0],
  ],
  "forced retire": [
    ["began", "retire", true, 0],
    ["began", "retire", true, 0],
  ],
  halted: [
    ["nothing", "halted", undefined, 0],
    ["nothing", "halted", undefined, 0],
  ],
};

const names = Object.keys(states).flatMap((name) => (isStateName(name) ? [name] : []));
function isStateName(name: string): name is StateName {
  return Object.hasOwn(states, name);
}

describe.each(names)("in %s", (name) => {
  test.each([
    [retire, retireTable[name][0]],
    [insists, retireTable[name][1]],
  ] as const)("retire does what its row says: %o", (asked, [kind, phase, forced, epochs]) => {
    const before = recordIn(name);
    const { record, answer: answered } = answer(before, asked, around);
    expect(answered).toBe(kind);
    expect(record.state.phase).toBe(phase === "" ? before.state.phase : phase);
    if (record.state.phase === "retire") expect(record.state.forced).toBe(forced);
    expect(record.epoch - before.epoch).toBe(epochs);
    if (answered !== "began") expect(record).toBe(before);
  });

  test("pause changes nothing but that it is paused, once; resume ends it", () => {
    const before = recordIn(name);
    const paused = answer(before, pause, around);
    expect(paused.record).toEqual({ ...before, paused: { by: "ann", reason: "audit week", at: now } });
    expect(answer(paused.record, { ...pause, by: "bob" }, around)).toMatchObject({
      answer: "nothing",
      record: paused.record,
    });
    expect(answer(paused.record, { kind: "resume", by: "ann" }, around).record.paused).toBeUndefined();
  });

  test("a hold is kept for each person, replaced by the same one, and released", () => {
    const before = recordIn(name);
    if (name === "forced retire") {
      expect(answer(before, hold, around)).toMatchObject({ answer: "refused", record: before });
      return;
    }
    const one = answer(before, hold, around).record;
    const two = answer(one, { ...hold, by: "bob", until: now + 9_000 }, around).record;
    const three = answer(two, { ...hold, until: now + 7_000 }, around).record;
    expect(activeHolds(three, now).map(({ by, until }) => [by, until - now])).toEqual([
      ["bob", 9_000],
      ["ann", 7_000],
    ]);
    const release = (whose: string | undefined): Request => ({ kind: "release", by: "eve", whose });
    expect(answer(three, release("bob"), around).record.holds.map(({ by }) => by)).toEqual(["ann"]);
    expect(answer(three, release(undefined), around).record.holds).toEqual([]);
    expect(answer(three, release("eve"), around)).toMatchObject({ answer: "nothing", record: three });
  });
});

describe("while it is paused", () => {
  const paused = (name: StateName, changes: Partial<RotationRecord> = {}): RotationRecord => ({
    ...recordIn(name),
    paused: { by: "ann", reason: "audit week", at: 0 },
    ...changes,
  });
  const compromised = [{ ...mark("v1"), reportedBy: "ann", at: 0 }];
  const due = { ...around, policy: { ...defaultTestPolicy, schedule: every(1) } };
  const doing = (action: Action): string => {
    if (action.do === "step") return action.step;
    if (action.do === "change") return `change to ${action.transition.record.state.phase}`;
    return action.do === "wait" ? `wait ${action.until}` : action.do;
  };

  test.each<[string, RotationRecord, string]>([
    ["no schedule begins", paused("idle"), "wait undefined"],
    [
      "no wish begins",
      paused("idle", { wish: { kind: "rotate", requestedBy: "bob", at: 0 } }),
      "wait undefined",
    ],
    ["nothing owed is paid", paused("idle", { debts: [{ ...debt, notBefore: 0 }] }), "wait undefined"],
    [
      "what has leaked is cut",
      paused("idle", { debts: [{ ...debt, reason: "leaked", notBefore: 0 }] }),
      "settle",
    ],
    ["an emergency begins", paused("idle", { compromised }), "change to create"],
    ["a rotation goes on to its announcement", paused("set"), "set"],
    ["a candidate is taken back", paused("undo"), "undo"],
    ["grace does not end, and the new one is still tried", paused("grace"), `wait ${now + 10}`],
    ["retire waits", paused("retire", { debts: [{ ...debt, notBefore: 0 }] }), "wait undefined"],
    [
      "a forced retire waits, too",
      paused("forced retire", { debts: [{ ...debt, notBefore: 0 }] }),
      "wait undefined",
    ],
    [
      "retire of what has leaked goes on",
      paused("forced retire", { debts: [{ ...debt, reason: "leaked", notBefore: 0 }], compromised }),
      "settle",
    ],
  ])("%s", (_what, record, expected) => {
    expect(doing(decide(record, released, due))).toBe(expected);
  });

  test("rotate and retire are refused, and say who paused it", () => {
    for (const request of [{ kind: "rotate", by: "bob" }, retire, insists] as const) {
      const answered = answer(paused("idle"), request, around);
      expect(answered.answer).toBe("refused");
      expect(answered.why).toContain("ann");
    }
  });
});

describe("a hold", () => {
  const held = (name: StateName, until: number): RotationRecord => ({
    ...recordIn(name),
    holds: [{ by: "ann", reason: "long report", at: 0, until }],
  });

  test("keeps grace open to its end, past the longest grace, whatever is done with laggards", () => {
    const policy = { ...defaultTestPolicy, onLaggards: "retire", graceAtMostMs: 10 } as const;
    expect(decide(held("grace", now + 5), released, { ...around, policy })).toMatchObject({ do: "wait" });
    expect(decide(held("grace", now), released, { ...around, policy })).toMatchObject({
      do: "change",
      transition: { record: { state: { phase: "retire" } } },
    });
  });

  test("makes a retire wait that is not forced, and no other", () => {
    const owing = { debts: [{ ...debt, notBefore: 0 }] };
    expect(decide({ ...held("retire", now + 5), ...owing }, released, around)).toEqual({
      do: "wait",
      until: now + 5,
    });
    expect(decide({ ...held("forced retire", now + 5), ...owing }, released, around).do).toBe("settle");
    expect(decide({ ...held("retire", now), ...owing }, released, around).do).toBe("settle");
  });

  test("that is over counts for nothing", () => {
    expect(heldUntil(held("grace", now), now)).toBeUndefined();
    expect(heldUntil(held("grace", now + 1), now)).toBe(now + 1);
  });

  test("is dropped by whoever insists on the end", () => {
    expect(intervene(held("grace", now + 5), insists, around).transition.record.holds).toEqual([]);
  });
});

test.each<[string, RotationRecord, FleetView, string | undefined]>([
  ["a hold", { ...recordIn("grace"), holds: [{ ...hold, at: 0 }] }, released, "ann (long report)"],
  ["an agent on the old version", recordIn("grace"), { ...released, laggards: ["host-1"] }, "host-1"],
  ["silence", recordIn("grace"), { ...released, live: 0, adopted: 0 }, "no agent has reported"],
  ["a released fleet is none", recordIn("grace"), released, undefined],
  [
    "what is cut off already is none",
    { ...recordIn("forced retire"), holds: [{ ...hold, at: 0 }] },
    silent,
    undefined,
  ],
  ["without a grace there is none", recordIn("idle"), { ...released, adopted: 0 }, undefined],
])("what speaks against ending a grace: %s", (_what, record, fleet, said) => {
  const objection = objectionTo(record, fleet, now);
  if (said === undefined) expect(objection).toBeUndefined();
  else expect(objection).toContain(said);
});

test("a quota that is used up holds back what begins by schedule, and nothing that was asked for", () => {
  const due = { ...around, policy: { ...defaultTestPolicy, schedule: every(1) }, quotaOpensAt: now + 50 };
  expect(decide(recordIn("idle"), released, due)).toEqual({ do: "wait", until: now + 50 });
  expect(answer(recordIn("idle"), { kind: "rotate", by: "ann" }, due).answer).toBe("began");
});
