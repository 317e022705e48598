import { describe, expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { type Debt, newRecord, type Rotation, type RotationRecord, type State } from "./record.ts";
import { type Answer, answer, type Request } from "./request.ts";
import { rotationOf, type Surroundings } from "./transition.ts";

/**
 * The part of the table of requests that is about halted, from whichever phase a person was called: those in which a rotation may come to a
 * halt, and the others that a record may tell of.
 */
const now = 1_000_000;
const around: Surroundings = { policy: defaultTestPolicy, overlap: "both-live", now, newId: "v3" };
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
type Halted = Extract<State, { phase: "halted" }>;
type From = Halted["from"];

/** The record of each: what is current, what is owed, and which rotation a person was called for. */
const records: Readonly<Record<From, RotationRecord>> = {
  idle: halted("idle", "v1", undefined),
  create: halted("create", "v1", { ...rotation, pending: undefined }),
  set: halted("set", "v1"),
  test: halted("test", "v1"),
  finish: halted("finish", "v1"),
  announce: halted("announce", "v2"),
  grace: halted("grace", "v2"),
  retire: halted("retire", "v2"),
  undo: halted("undo", "v1"),
};

function halted(from: From, current: string, of: Rotation | undefined = rotation): RotationRecord {
  const owed: Debt = {
    ...mark("v1"),
    reason: "retired",
    since: 0,
    cutFirst: false,
    attempts: 2,
    notBefore: now + 500,
  };
  return {
    ...newRecord("app/db"),
    epoch: 7,
    current: { ...mark(current), since: 0 },
    debts: from === "retire" ? [owed] : [],
    state: {
      phase: "halted",
      rotation: from === "idle" ? undefined : of,
      from,
      code: "fence-conflict",
      reason: "two claim one epoch",
      at: now - 5,
    },
    lease: { holder: "somebody", until: now + 60_000 },
  };
}

const requests = {
  rotate: { kind: "rotate", by: "ann" },
  cancel: { kind: "cancel", by: "ann", insist: false },
  "cancel, on purpose": { kind: "cancel", by: "ann", insist: true },
  rollback: { kind: "rollback", by: "ann", insist: false },
  "rollback, on purpose": { kind: "rollback", by: "ann", insist: true },
  resume: { kind: "resume", by: "ann" },
  "v1 leaked": { kind: "emergency", by: "ann", version: mark("v1"), cutFirst: false },
  "v1 leaked, to be cut first": { kind: "emergency", by: "ann", version: mark("v1"), cutFirst: true },
  "v2 leaked": { kind: "emergency", by: "ann", version: mark("v2"), cutFirst: false },
  "v2 leaked, to be cut first": { kind: "emergency", by: "ann", version: mark("v2"), cutFirst: true },
  "v0 leaked": { kind: "emergency", by: "ann", version: mark("v0"), cutFirst: false },
  "v0 leaked, to be cut first": { kind: "emergency", by: "ann", version: mark("v0"), cutFirst: true },
  pause: { kind: "pause", by: "ann", reason: "audit week" },
  hold: { kind: "hold", by: "ann", reason: "long report", until: now + 9_000 },
  release: { kind: "release", by: "ann", whose: undefined },
  retire: { kind: "retire", by: "ann", insist: false },
  "retire, on purpose": { kind: "retire", by: "ann", insist: true },
} satisfies Record<string, Request>;
type Asked = keyof typeof requests;
type Row = Readonly<Record<From, string>>;

/** The same from wherever it was halted. */
const everywhere = (cell: string): Row => ({
  ...{ idle: cell, create: cell, set: cell, test: cell, finish: cell },
  ...{ announce: cell, grace: cell, retire: cell, undo: cell },
});

/**
 * What is answered, and where it leads: of what changes nothing, the words that a person reads; of everything else the state after, how far
 * the epoch rises, and what is owed, put aside, brought back or wished for.
 */
const table: Readonly<Record<Asked, Row>> = {
  rotate: {
    idle: "refused: halted in idle: fence-conflict: two claim one epoch",
    create: "refused: halted in create: fence-conflict: two claim one epoch",
    set: "refused: halted in set: fence-conflict: two claim one epoch",
    test: "refused: halted in test: fence-conflict: two claim one epoch",
    finish: "refused: halted in finish: fence-conflict: two claim one epoch",
    announce: "refused: halted in announce: fence-conflict: two claim one epoch",
    grace: "refused: halted in grace: fence-conflict: two claim one epoch",
    retire: "refused: halted in retire: fence-conflict: two claim one epoch",
    undo: "refused: halted in undo: fence-conflict: two claim one epoch",
  },
  // Before it is told, a person may have it taken back, and has to say so on purpose.
  cancel: {
    idle: "refused: halted in idle, where nothing can be taken back: two claim one epoch",
    create: "refused: halted: two claim one epoch; cancel it on purpose to undo it",
    set: "refused: halted: two claim one epoch; cancel it on purpose to undo it",
    test: "refused: halted: two claim one epoch; cancel it on purpose to undo it",
    finish: "refused: halted: two claim one epoch; cancel it on purpose to undo it",
    announce: "refused: halted in announce, where nothing can be taken back: two claim one epoch",
    grace: "refused: halted in grace, where nothing can be taken back: two claim one epoch",
    retire: "refused: halted in retire, where nothing can be taken back: two claim one epoch",
    undo: "refused: halted in undo, where nothing can be taken back: two claim one epoch",
  },
  "cancel, on purpose": {
    idle: "refused: halted in idle, where nothing can be taken back: two claim one epoch",
    create: "began: undo of v2, +1",
    set: "began: undo of v2, +1",
    test: "began: undo of v2, +1",
    finish: "began: undo of v2, +1",
    announce: "refused: halted in announce, where nothing can be taken back: two claim one epoch",
    grace: "refused: halted in grace, where nothing can be taken back: two claim one epoch",
    retire: "refused: halted in retire, where nothing can be taken back: two claim one epoch",
    undo: "refused: halted in undo, where nothing can be taken back: two claim one epoch",
  },
  // Only in a grace there is something to bring back.
  rollback: {
    idle: "refused: halted in idle: two claim one epoch",
    create: "refused: halted in create: two claim one epoch",
    set: "refused: halted in set: two claim one epoch",
    test: "refused: halted in test: two claim one epoch",
    finish: "refused: halted in finish: two claim one epoch",
    announce: "refused: halted in announce: two claim one epoch",
    grace: "refused: halted: two claim one epoch; roll back on purpose to try",
    retire: "refused: halted in retire: two claim one epoch",
    undo: "refused: halted in undo: two claim one epoch",
  },
  "rollback, on purpose": {
    idle: "refused: halted in idle: two claim one epoch",
    create: "refused: halted in create: two claim one epoch",
    set: "refused: halted in set: two claim one epoch",
    test: "refused: halted in test: two claim one epoch",
    finish: "refused: halted in finish: two claim one epoch",
    announce: "refused: halted in announce: two claim one epoch",
    grace: "began: create of v3, restores v1, +1",
    retire: "refused: halted in retire: two claim one epoch",
    undo: "refused: halted in undo: two claim one epoch",
  },
  resume: {
    idle: "began: idle",
    create: "began: create of v2",
    set: "began: set of v2",
    test: "began: test of v2",
    finish: "began: finish of v2",
    announce: "began: announce of v2",
    grace: "began: grace of v2",
    retire: "began: retire of v2, owes v1",
    undo: "began: undo of v2",
  },
  // v1 is current until announce, and previous after it. What a person was called for is left behind, and its successor begins.
  "v1 leaked": {
    idle: "began: create of v3, urgent, +2",
    create: "began: create of v3, urgent, +2, puts v2 aside",
    set: "began: create of v3, urgent, +2, owes v2",
    test: "began: create of v3, urgent, +2, owes v2",
    finish: "began: create of v3, urgent, +2, owes v2",
    announce: "began: halted of v2, +1, owes v1",
    grace: "began: halted of v2, +1, owes v1",
    retire: "began: halted of v2, +1, owes v1",
    undo: "began: create of v3, urgent, +2, owes v2",
  },
  "v1 leaked, to be cut first": {
    idle: "began: create of v3, urgent, +2, owes v1 first",
    create: "began: create of v3, urgent, +2, owes v1 first, puts v2 aside",
    set: "began: create of v3, urgent, +2, owes v1 first and v2",
    test: "began: create of v3, urgent, +2, owes v1 first and v2",
    finish: "began: create of v3, urgent, +2, owes v1 first and v2",
    announce: "began: halted of v2, +1, owes v1 first",
    grace: "began: halted of v2, +1, owes v1 first",
    retire: "began: halted of v2, +1, owes v1 first",
    undo: "began: create of v3, urgent, +2, owes v1 first and v2",
  },
  // v2 is pending until announce, and current after it; to what was halted before any rotation it is nobody's.
  "v2 leaked": {
    idle: "began: halted, +1, owes v2",
    create: "began: undo of v2, +2, wishes to rotate",
    set: "began: undo of v2, +2, wishes to rotate",
    test: "began: undo of v2, +2, wishes to rotate",
    finish: "began: undo of v2, +2, wishes to rotate",
    announce: "began: create of v3, urgent, +2, owes v1",
    grace: "began: create of v3, urgent, +2, owes v1",
    retire: "began: create of v3, urgent, +2, owes v1",
    undo: "began: undo of v2, +2, wishes to rotate",
  },
  "v2 leaked, to be cut first": {
    idle: "began: halted, +1, owes v2 first",
    create: "began: undo of v2, +2, owes v2 first, wishes to rotate",
    set: "began: undo of v2, +2, owes v2 first, wishes to rotate",
    test: "began: undo of v2, +2, owes v2 first, wishes to rotate",
    finish: "began: undo of v2, +2, owes v2 first, wishes to rotate",
    announce: "began: create of v3, urgent, +2, owes v2 first and v1",
    grace: "began: create of v3, urgent, +2, owes v2 first and v1",
    retire: "began: create of v3, urgent, +2, owes v2 first and v1",
    undo: "began: undo of v2, +2, owes v2 first, wishes to rotate",
  },
  // It is cut off, and nothing of the rotation changes: a person looks at that.
  "v0 leaked": {
    idle: "began: halted, +1, owes v0",
    create: "began: halted of v2, +1, owes v0",
    set: "began: halted of v2, +1, owes v0",
    test: "began: halted of v2, +1, owes v0",
    finish: "began: halted of v2, +1, owes v0",
    announce: "began: halted of v2, +1, owes v0",
    grace: "began: halted of v2, +1, owes v0",
    retire: "began: halted of v2, +1, owes v1 and v0",
    undo: "began: halted of v2, +1, owes v0",
  },
  "v0 leaked, to be cut first": {
    idle: "began: halted, +1, owes v0 first",
    create: "began: halted of v2, +1, owes v0 first",
    set: "began: halted of v2, +1, owes v0 first",
    test: "began: halted of v2, +1, owes v0 first",
    finish: "began: halted of v2, +1, owes v0 first",
    announce: "began: halted of v2, +1, owes v0 first",
    grace: "began: halted of v2, +1, owes v0 first",
    retire: "began: halted of v2, +1, owes v1 and v0 first",
    undo: "began: halted of v2, +1, owes v0 first",
  },
  pause: {
    ...everywhere("began: halted of v2, is paused"),
    idle: "began: halted, is paused",
    retire: "began: halted of v2, owes v1, is paused",
  },
  hold: {
    ...everywhere("began: halted of v2, is held"),
    idle: "began: halted, is held",
    retire: "began: halted of v2, owes v1, is held",
  },
  release: everywhere("nothing: nobody holds it"),
  // What is owed is paid while a person looks at the rest.
  retire: { ...everywhere("nothing: nothing is owed"), retire: "began: halted of v2, owes v1 at once" },
  "retire, on purpose": {
    ...everywhere("nothing: nothing is owed"),
    retire: "began: halted of v2, owes v1 at once",
  },
};

/** Of one password, setting its successor is the cut: to ask for it first asks for nothing more. */
const ofCutover: Readonly<Partial<Record<Asked, Asked>>> = {
  "v1 leaked, to be cut first": "v1 leaked",
  "v2 leaked, to be cut first": "v2 leaked",
  "v0 leaked, to be cut first": "v0 leaked",
};

function told(before: RotationRecord, asked: Asked, { answer: kind, why, record }: Answer): string {
  if (record === before) return `${kind}: ${why}`;
  const { state, debts, wish } = record;
  const of = rotationOf(state);
  const rises = record.epoch - before.epoch;
  const owed = debts.map(
    ({ version, cutFirst, notBefore }) =>
      `${version}${cutFirst ? " first" : ""}${asked.startsWith("retire") && notBefore === now ? " at once" : ""}`,
  );
  const parts = [
    `${kind}: ${state.phase}${of === undefined ? "" : ` of ${of.id}`}`,
    of?.urgent === true ? "urgent" : "",
    of?.restores === undefined ? "" : `restores ${of.restores.version}`,
    rises === 0 ? "" : `+${rises}`,
    owed.length === 0 ? "" : `owes ${owed.join(" and ")}`,
    of?.aside === undefined ? "" : `puts ${of.aside.join(" and ")} aside`,
    wish === undefined ? "" : `wishes to ${wish.kind}`,
    record.paused === undefined ? "" : "is paused",
    record.holds.length === 0 ? "" : "is held",
  ];
  return parts.filter((part) => part !== "").join(", ");
}

function isAsked(name: string): name is Asked {
  return Object.hasOwn(requests, name);
}
function isFrom(name: string): name is From {
  return Object.hasOwn(records, name);
}
const everyRequest = Object.keys(requests).filter(isAsked);
const everyPhase = Object.keys(records).filter(isFrom);
const cells = (["both-live", "cutover"] as const).flatMap((overlap) =>
  everyRequest.flatMap((asked) =>
    everyPhase.map(
      (from) =>
        [asked, from, overlap, table[(overlap === "cutover" && ofCutover[asked]) || asked][from]] as const,
    ),
  ),
);

describe("what is halted meets every request, from wherever a person was called", () => {
  test("the table has every cell: seventeen requests, nine phases, two overlaps", () => {
    expect(cells).toHaveLength(17 * 9 * 2);
  });

  test.each(cells)("%s, halted in %s, %s: %s", (asked, from, overlap, expected) => {
    const before = records[from];
    const answered = answer(before, requests[asked], { ...around, overlap });
    expect(told(before, asked, answered)).toBe(expected);
    const isUnchanged = answered.record === before;
    // What changes is written down, and by whom; what does not, is not.
    expect(answered.notes.some((note) => JSON.stringify(note).includes("ann"))).toBe(!isUnchanged);
    if (isUnchanged) expect(answered).toMatchObject({ notes: [], events: [] });
    const isLeak = requests[asked].kind === "emergency";
    expect(answered.record.lease).toEqual(isLeak ? undefined : before.lease);
  });
});
