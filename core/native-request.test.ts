import { describe, expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { answerCreate, isAtRest, nativeActor, type Place, placeOf } from "./native-request.ts";
import { type Debt, newRecord, type Rotation, type RotationRecord, type State } from "./record.ts";
import { begin, enterUndo, type Surroundings, type Transition } from "./transition.ts";

const now = 1_000_000;
const policy = { ...defaultTestPolicy, graceAtLeastMs: 4_000, cacheTtlMs: 1_000, stepDeadlineMs: 700 };
const around: Surroundings = { policy, overlap: "both-live", now, newId: "token" };
const asked = { ...around, tried: false };
const again = { ...around, tried: true };
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
const own: Rotation = { ...rotation, id: "token", handsOffUntil: now - 1 };
const urgent: Rotation = { ...rotation, urgent: true };
const tries = { attempts: 0, notBefore: now + 500 };
const forward = ["create", "set", "test", "finish", "announce"] as const;
const stepOf = (phase: (typeof forward)[number], of: Rotation = rotation): State => ({
  phase,
  rotation: of,
  ...tries,
});
const grace = (of: Rotation = rotation): State => ({
  phase: "grace",
  rotation: of,
  since: now - 1_000,
  confirmAt: now,
  refusals: 0,
  adopted: false,
  laggardsNamed: false,
  ...tries,
});
const retire = (of: Rotation = rotation): State => ({
  phase: "retire",
  rotation: of,
  since: 3,
  forced: false,
  ...tries,
});
const undo = (of: Rotation = rotation): State => ({
  phase: "undo",
  rotation: of,
  reason: "cancelled",
  ...tries,
});
const halted = (of: Rotation | undefined): State => ({
  phase: "halted",
  rotation: of,
  from: "set",
  code: "fence-conflict",
  reason: "two claim one epoch",
  at: 3,
});
const idle: State = { phase: "idle" };
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
const published = { current: { ...mark("token"), since: 0 } };

test.each<readonly [string, RotationRecord, Place]>([
  ...forward.map((phase) => [`in ${phase}`, recordIn(stepOf(phase, own)), { at: "ahead", phase }] as const),
  [
    "in announce, current already",
    recordIn(stepOf("announce", own), published),
    { at: "ahead", phase: "announce" },
  ],
  ["in grace", recordIn(grace(own)), { at: "published" }],
  ["in retire", recordIn(retire(own)), { at: "published" }],
  ["in undo", recordIn(undo(own)), { at: "undone", why: "cancelled" }],
  ["halted", recordIn(halted(own)), { at: "halted", why: "fence-conflict: two claim one epoch" }],
  ["current, and at rest", recordIn(idle, published), { at: "published" }],
  ["current, and another follows", recordIn(stepOf("set"), published), { at: "published" }],
  ["put aside", recordIn(idle, { closed: ["a", "token"] }), { at: "closed" }],
  ["put aside, and another follows", recordIn(stepOf("set"), { closed: ["token"] }), { at: "closed" }],
  ["unknown at rest", recordIn(idle, { closed: ["a"] }), { at: "elsewhere" }],
  ["unknown beside another", recordIn(grace()), { at: "elsewhere" }],
  ["unknown to what halted before any rotation", recordIn(halted(undefined)), { at: "elsewhere" }],
])("the place of a token that is %s", (_, record, place) => {
  expect(placeOf(record, "token")).toEqual(place);
});

describe("createSecret of a token that the record knows changes nothing", () => {
  test.each<readonly [string, RotationRecord, string, string]>([
    ["create", recordIn(stepOf("create", own)), "joined", ""],
    ...forward
      .slice(1)
      .map(
        (phase) => [phase, recordIn(stepOf(phase, own)), "done", "the candidate is saved already"] as const,
      ),
    ["grace", recordIn(grace(own)), "done", "it is out already"],
    ["retire", recordIn(retire(own)), "done", "it is out already"],
    ["idle, where it is current", recordIn(idle, published), "done", "it is out already"],
    ["undo", recordIn(undo(own)), "refused", "cancelled"],
    ["halted", recordIn(halted(own)), "refused", "fence-conflict: two claim one epoch"],
    [
      "put aside",
      recordIn(idle, { closed: ["token"] }),
      "refused",
      "this version was put aside: begin another rotation",
    ],
  ])("%s", (_, record, answer, why) => {
    expect(answerCreate(record, asked)).toEqual({ record, notes: [], events: [], answer, why });
  });
});

/** With hands off it for as long as two steps may take. */
function driven({ record, ...rest }: Transition): Transition {
  const { state } = record;
  if (state.phase !== "create") throw new Error(`it is in ${state.phase}`);
  return {
    ...rest,
    record: { ...record, state: { ...state, rotation: { ...state.rotation, handsOffUntil: now + 1_400 } } },
  };
}

describe("createSecret of a token that the record does not know", () => {
  const rotate = { kind: "rotate", urgent: false, requestedBy: nativeActor } as const;
  const wish = (kind: "rotate" | "rollback") => ({ wish: { kind, requestedBy: "bob", at: 5 } });
  const owing = { debts: [debt("v8"), debt("v9")] };

  test.each<readonly [string, RotationRecord, typeof asked, (record: RotationRecord) => Transition]>([
    ["at rest", recordIn(idle), asked, (record) => begin(record, rotate, around)],
    [
      "at rest, where somebody wished for it",
      recordIn(idle, wish("rotate")),
      asked,
      (record) => begin(record, { ...rotate, requestedBy: "bob" }, around),
    ],
    [
      "at rest, where a rollback was wished for too late",
      recordIn(idle, wish("rollback")),
      asked,
      (record) => begin(record, rotate, around),
    ],
    [
      "at rest, for a cutover type whose set pays what is owed",
      recordIn(idle, owing),
      { ...asked, overlap: "cutover" },
      (record) => begin(record, rotate, { ...around, overlap: "cutover" }),
    ],
    [
      "in grace, where a rollback was wished for: it is one",
      recordIn(grace(), wish("rollback")),
      asked,
      (record) =>
        begin(
          { ...record, wish: undefined },
          { kind: "rollback", urgent: false, requestedBy: "bob", restores: mark("v1") },
          around,
        ),
    ],
  ])("begins %s", (_, record, when, begun) => {
    expect(answerCreate(record, when)).toEqual({ ...driven(begun(record)), answer: "began", why: "" });
  });

  test.each(["create", "set", "test"] as const)("takes back what is in %s first", (phase) => {
    const record = recordIn(stepOf(phase));
    const reason = { code: "cancelled", message: "Secrets Manager began another rotation" };
    const undone = enterUndo(record, rotation, reason, around);
    expect(answerCreate(record, asked)).toEqual({ ...undone, answer: "first", why: "" });
  });

  test.each<readonly [string, RotationRecord]>([
    ["an undo to its end", recordIn(undo())],
    ["what is owed out of the way", recordIn(idle, owing)],
  ])("lets a worker bring %s first", (_, record) => {
    expect(answerCreate(record, asked)).toEqual({ record, notes: [], events: [], answer: "first", why: "" });
  });

  const later = "; the next rotation begins by itself when that has ended";
  const inGrace = `busy: the grace of v2 is under way${later}, ${new Date(now + 3_000).toISOString()} at the earliest`;
  const soon = `, ${new Date(now + 500).toISOString()} at the earliest`;
  const held = recordIn(grace(), { holds: [{ by: "ann", reason: "batch", at: 1, until: now + 9_000 }] });
  const passed = recordIn({ ...retire(), ...{ notBefore: now } });

  test.each<readonly [string, RotationRecord, typeof asked, string]>([
    ["in grace", recordIn(grace()), asked, inGrace],
    [
      "in a grace that is held",
      held,
      asked,
      `busy: the grace of v2 is under way${later}, ${new Date(now + 9_000).toISOString()} at the earliest`,
    ],
    ["in retire", recordIn(retire()), asked, `busy: the old credential is being retired${later}${soon}`],
    ["in a retire whose time has come", passed, asked, `busy: the old credential is being retired${later}`],
    ["in undo", recordIn(undo()), again, `busy: v2 is being taken back: cancelled${later}${soon}`],
    [
      "while something is owed",
      recordIn(idle, owing),
      again,
      `busy: not yet proven refused, and paid first: v8, v9${later}`,
    ],
    [
      "in grace, where a rollback was wished for that cannot be",
      recordIn(grace(), { ...wish("rollback"), compromised: leaked("v1") }),
      asked,
      inGrace,
    ],
  ])("is wished for %s, and its token put aside", (_, record, when, why) => {
    expect(answerCreate(record, when)).toEqual({
      record: { ...record, wish: { kind: "rotate", requestedBy: nativeActor, at: now }, closed: ["token"] },
      notes: [{ action: "rotate.requested", detail: why, version: "token", actor: nativeActor }],
      events: [],
      answer: "busy",
      why,
    });
  });

  test("is wished for once", () => {
    const record = recordIn(retire(), { ...wish("rotate"), closed: ["a", "b", "c", "d", "e"] });
    expect(answerCreate(record, asked).record).toMatchObject({
      ...wish("rotate"),
      closed: ["b", "c", "d", "e", "token"],
    });
  });

  const goesOn = ", and goes on by itself";
  test.each<readonly [string, RotationRecord, string]>([
    ["an emergency", recordIn(stepOf("set", urgent)), `busy: an emergency is under way${goesOn}`],
    [
      "the successor of a leaked value",
      recordIn(stepOf("test"), { compromised: leaked("v1") }),
      `busy: an emergency is under way${goesOn}`,
    ],
    [
      "a rollback",
      recordIn(stepOf("create", { ...rotation, kind: "rollback" })),
      `busy: a rollback is under way${goesOn}`,
    ],
    ["a finish", recordIn(stepOf("finish")), `busy: v2 is being published${goesOn}`],
    ["an announcement", recordIn(stepOf("announce")), `busy: v2 is being published${goesOn}`],
    [
      "a pause",
      recordIn(idle, { paused: { by: "bob", reason: "audit week", at: 3 } }),
      "paused by bob: audit week; resume it first",
    ],
    ["a halt", recordIn(halted(rotation)), "halted in set: fence-conflict: two claim one epoch"],
    [
      "a halt before any rotation",
      recordIn(halted(undefined)),
      "halted in set: fence-conflict: two claim one epoch",
    ],
  ])("does not disturb %s, and its token is put aside", (_, record, why) => {
    expect(answerCreate(record, asked)).toEqual({
      record: { ...record, closed: ["token"] },
      notes: [{ action: "rotate.refused", detail: why, version: "token", actor: nativeActor }],
      events: [],
      answer: why.startsWith("busy") ? "busy" : "refused",
      why,
    });
  });

  test("lets what Secrets Manager drove until now go on at once", () => {
    const record = recordIn(stepOf("finish", { ...rotation, handsOffUntil: now + 1_000 }));
    expect(answerCreate(record, asked).record.state).toEqual(
      stepOf("finish", { ...rotation, handsOffUntil: now }),
    );
  });
});

test.each([
  ...forward.map((phase) => [phase, false] as const),
  ["undo", false],
  ["halted", false],
  ["idle", true],
  ["grace", true],
  ["retire", true],
] as const)("a record in %s is at rest: %s", (phase, rests) => {
  expect(isAtRest({ phase })).toBe(rests);
});
