import { describe, expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { type Debt, newRecord, type Rotation, type RotationRecord, type State } from "./record.ts";
import { answer, type Request } from "./request.ts";
import { begin, enterUndo, type Note, type Surroundings, type Transition } from "./transition.ts";

const now = 1_000_000;
const around: Surroundings = { policy: defaultTestPolicy, overlap: "both-live", now, newId: "new" };
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
const first: Rotation = { ...rotation, previous: undefined };
const tries = { attempts: 2, notBefore: now + 500 };
const grace: State = {
  phase: "grace",
  rotation,
  since: 3,
  confirmAt: 4,
  refusals: 1,
  adopted: true,
  laggardsNamed: true,
  ...tries,
};
type Halted = Extract<State, { phase: "halted" }>;
const halted = (from: Halted["from"], of: Rotation | undefined = rotation): Halted => ({
  phase: "halted",
  rotation: of,
  from,
  code: "fence-conflict",
  reason: "two claim one epoch",
  at: now - 5,
});
/** A halt before any rotation, which the helper's default would give one. */
const haltedWithout = (from: Halted["from"]): Halted => ({ ...halted(from), rotation: undefined });
const recordIn = (state: State, changes: Partial<RotationRecord> = {}): RotationRecord => ({
  ...newRecord("app/db"),
  epoch: 7,
  current: { ...mark("v1"), since: 0 },
  state,
  ...changes,
});
const debt = (version: string): Debt => ({
  ...mark(version),
  reason: "retired",
  since: 0,
  cutFirst: false,
  ...tries,
});
const leaked = (version: string) => [{ ...mark(version), reportedBy: "bob", at: 3 }];
const paused = { by: "bob", reason: "audit week", at: 3 };

const rotate = { kind: "rotate", by: "ann" } as const;
const cancel = { kind: "cancel", by: "ann", insist: false } as const;
const rollback = { kind: "rollback", by: "ann", insist: false } as const;
const resume = { kind: "resume", by: "ann" } as const;
const onPurpose = { insist: true } as const;
const emergency = (version: string) =>
  ({ kind: "emergency", by: "ann", version: mark(version), cutFirst: false }) as const;

describe("what is refused, is under way already, or has nothing to do: nothing changes, and it says", () => {
  const set: State = { phase: "set", rotation, ...tries };
  const finish: State = { phase: "finish", rotation, ...tries };
  const retire: State = { phase: "retire", rotation, since: 3, forced: false, ...tries };
  const undo: State = { phase: "undo", rotation, reason: "cancelled", ...tries };
  const goesOn = "current is compromised, and this rotation makes its successor";
  const nothing = "no rotation is under way that could be cancelled";
  const out = "the new version is out already: use rollback";
  const retiring = "the old credential is being retired: rotate instead";
  const atGrace = "halted in grace, where nothing can be taken back: two claim one epoch";
  const exposed = "the old version is compromised";

  test.each<readonly [string, RotationRecord, Request, string]>([
    [
      "refused",
      recordIn({ phase: "idle" }, { paused }),
      rotate,
      "paused by bob: audit week; resume it first",
    ],
    ["joined", recordIn(set), rotate, "rotation v2 is under way"],
    ["refused", recordIn(halted("set")), rotate, "halted in set: fence-conflict: two claim one epoch"],
    ["nothing", recordIn({ phase: "idle" }), cancel, nothing],
    ["nothing", recordIn(undo), cancel, nothing],
    ["refused", recordIn(set, { compromised: leaked("v1") }), cancel, goesOn],
    ["refused", recordIn(finish), cancel, out],
    ["refused", recordIn(grace), cancel, out],
    ["refused", recordIn(retire), cancel, retiring],
    ["refused", recordIn(halted("grace")), { ...cancel, ...onPurpose }, atGrace],
    [
      "refused",
      recordIn(haltedWithout("set")),
      { ...cancel, ...onPurpose },
      "halted in set, where nothing can be taken back: two claim one epoch",
    ],
    [
      "refused",
      recordIn(halted("finish")),
      cancel,
      "halted: two claim one epoch; cancel it on purpose to undo it",
    ],
    ["refused", recordIn({ phase: "idle" }), rollback, "the old credential is retired: rotate instead"],
    ["refused", recordIn(set, { compromised: leaked("v1") }), rollback, goesOn],
    ["refused", recordIn(finish, { compromised: leaked("v1") }), rollback, exposed],
    ["refused", recordIn(grace, { compromised: leaked("v1") }), rollback, exposed],
    ["refused", recordIn({ ...grace, rotation: first }), rollback, "there is no version before this one"],
    ["refused", recordIn(retire), rollback, retiring],
    ["nothing", recordIn(undo), rollback, "the candidate is being taken back already"],
    ["refused", recordIn(halted("set")), { ...rollback, ...onPurpose }, "halted in set: two claim one epoch"],
    [
      "refused",
      recordIn(halted("grace")),
      rollback,
      "halted: two claim one epoch; roll back on purpose to try",
    ],
    [
      "refused",
      recordIn(haltedWithout("grace")),
      { ...rollback, ...onPurpose },
      "there is no version before this one",
    ],
    ["nothing", recordIn(set), resume, "it is neither halted nor paused"],
    [
      "joined",
      recordIn(set, { compromised: leaked("v1") }),
      emergency("v1"),
      "this version is being cut off already, or was",
    ],
    [
      "joined",
      recordIn(halted("set"), { compromised: leaked("v1").map((one) => ({ ...one, refusedAt: 9 })) }),
      emergency("v1"),
      "this version is being cut off already, or was",
    ],
  ])("%s: %#", (kind, record, request, why) => {
    expect(answer(record, request, around)).toEqual({ record, notes: [], events: [], answer: kind, why });
  });
});

test.each<readonly [string, RotationRecord, Request, Partial<Surroundings>, string, string]>([
  [
    "a rotation while something is owed",
    recordIn({ phase: "idle" }, { debts: [debt("v8"), debt("v9")] }),
    rotate,
    {},
    "rotate",
    "not yet proven refused, and paid first: v8, v9",
  ],
  [
    "a rotation while one is in grace",
    recordIn(grace),
    rotate,
    {},
    "rotate",
    "it begins when the grace under way has ended",
  ],
  [
    "a rollback before the announcement",
    recordIn({ phase: "announce", rotation, ...tries }),
    rollback,
    {},
    "rollback",
    "it begins as soon as the new version is announced",
  ],
])("what has to wait is wished for: %s", (_, record, request, changes, kind, why) => {
  expect(answer(record, request, { ...around, ...changes })).toEqual({
    record: { ...record, wish: { kind, requestedBy: "ann", at: now } },
    notes: [{ action: `${kind}.requested`, detail: why, actor: "ann" }],
    events: [],
    answer: "waiting",
    why,
  });
});

describe("what begins", () => {
  const cancelled = { code: "cancelled", message: "cancelled by ann" };
  const rolledBack = { code: "cancelled", message: "rolled back by ann" };
  const cutover: Surroundings = { ...around, overlap: "cutover" };
  const idle = recordIn({ phase: "idle" });
  const owing = { ...idle, debts: [debt("v8")] };
  const fresh = { kind: "rotate", urgent: false, requestedBy: "ann" } as const;
  const back = { ...fresh, kind: "rollback", restores: mark("v1") } as const;
  const inTest = recordIn({ phase: "test", rotation, ...tries });
  const stuck = recordIn(halted("finish"));
  const published = recordIn(grace, { current: { ...mark("v2"), since: 0 } });
  const stuckInGrace = { ...published, state: halted("grace") };
  const taken = "the candidate is taken back";

  test.each<readonly [string, RotationRecord, Request, Surroundings, Transition, string]>([
    ["a rotation", idle, rotate, around, begin(idle, fresh, around), "rotation begins"],
    [
      "a rotation of a cutover type, whose set pays what is owed",
      owing,
      rotate,
      cutover,
      begin(owing, fresh, cutover),
      "rotation begins",
    ],
    ["an undo", inTest, cancel, around, enterUndo(inTest, rotation, cancelled, around), taken],
    [
      "an undo of what was halted while it was published",
      stuck,
      { ...cancel, ...onPurpose },
      around,
      enterUndo(stuck, rotation, cancelled, around),
      taken,
    ],
    [
      "a rollback of what is not yet published",
      inTest,
      rollback,
      around,
      enterUndo(inTest, rotation, rolledBack, around),
      "nothing was published yet: the candidate is taken back",
    ],
    [
      "a rollback",
      published,
      rollback,
      around,
      begin(published, back, around),
      "the old value becomes current again",
    ],
    [
      "a rollback of what was halted in grace",
      stuckInGrace,
      { ...rollback, ...onPurpose },
      around,
      begin(stuckInGrace, back, around),
      "the old value becomes current again",
    ],
  ])("%s", (_, record, request, surroundings, transition, why) => {
    expect(answer(record, request, surroundings)).toEqual({ ...transition, answer: "began", why });
  });

  test("a cut", () => {
    expect(answer(idle, emergency("v1"), around)).toMatchObject({
      answer: "began",
      why: "the version is being cut off",
    });
  });
});

describe("resume", () => {
  const again = { rotation, attempts: 0, notBefore: now };
  const urgent = { ...rotation, urgent: true };

  test.each<readonly [string, Halted, State]>([
    ["set", halted("set"), { phase: "set", ...again }],
    [
      "grace, which begins anew",
      halted("grace"),
      {
        phase: "grace",
        ...again,
        since: now,
        confirmAt: now,
        refusals: 0,
        adopted: false,
        laggardsNamed: false,
      },
    ],
    ["retire", halted("retire"), { phase: "retire", ...again, since: now, forced: false }],
    [
      "the retire of an emergency",
      halted("retire", urgent),
      { phase: "retire", ...again, rotation: urgent, since: now, forced: true },
    ],
    ["undo", halted("undo"), { phase: "undo", ...again, reason: "two claim one epoch" }],
    ["idle", haltedWithout("idle"), { phase: "idle" }],
    ["idle, whatever was under way", halted("idle"), { phase: "idle" }],
    ["idle, where no rotation is known", haltedWithout("set"), { phase: "idle" }],
  ])("goes on with %s, and ends a pause as well", (_, state, after) => {
    const record = recordIn(state, { paused });
    const note: Note = { action: "resumed", detail: `after fence-conflict in ${state.from}`, actor: "ann" };
    expect(answer(record, resume, around)).toEqual({
      record: { ...record, paused: undefined, state: after },
      notes: [note],
      events: [],
      answer: "began",
      why: `it goes on with ${state.from}`,
    });
  });

  test("after a pause changes nothing but that", () => {
    const record = recordIn(grace, { paused });
    expect(answer(record, resume, around)).toEqual({
      record: { ...record, paused: undefined },
      notes: [{ action: "resumed", detail: "after the pause of bob", actor: "ann" }],
      events: [],
      answer: "began",
      why: "it goes on by itself again",
    });
  });
});
