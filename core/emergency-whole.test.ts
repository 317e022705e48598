import { describe, expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { cutOff } from "./emergency.ts";
import { type Debt, newRecord, type Rotation, type RotationRecord, type State } from "./record.ts";
import { enterRetire, enterUndo, owe, type Surroundings, supersede, type Transition } from "./transition.ts";

const now = 1_000_000;
const around: Surroundings = { policy: defaultTestPolicy, overlap: "both-live", now, newId: "new" };
const cutover: Surroundings = { ...around, overlap: "cutover" };
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
/** Brings v1 back over v2, and has not saved it yet. */
const rollback: Rotation = {
  ...rotation,
  id: "v3",
  kind: "rollback",
  pending: undefined,
  previous: mark("v2"),
  restores: mark("v1"),
};
const tries = { attempts: 2, notBefore: now + 500 };
const inPhase = (phase: "create" | "set" | "finish" | "announce", of = rotation): State => ({
  phase,
  rotation: of,
  ...tries,
});
const grace: State = {
  phase: "grace",
  rotation,
  since: 3,
  confirmAt: now + 10,
  refusals: 0,
  adopted: false,
  laggardsNamed: false,
  ...tries,
};
const retire = (forced: boolean): State => ({ phase: "retire", rotation, since: 3, forced, ...tries });
const undo = (of = rotation): State => ({ phase: "undo", rotation: of, reason: "cancelled", ...tries });
type Halted = Extract<State, { phase: "halted" }>;
const halted = (from: Halted["from"], of?: Rotation): Halted => ({
  phase: "halted",
  rotation: of,
  from,
  code: "internal",
  reason: "a defect",
  at: 3,
});
const recordIn = (state: State, current: string, changes: Partial<RotationRecord> = {}): RotationRecord => ({
  ...newRecord("app/db"),
  epoch: 7,
  current: { ...mark(current), since: 0 },
  state,
  lease: { holder: "somebody", until: now + 60_000 },
  ...changes,
});
const debt = (version: string, changes: Partial<Debt> = {}): Debt => ({
  ...mark(version),
  reason: "retired",
  since: 0,
  cutFirst: false,
  ...tries,
  ...changes,
});

const leak = (version: string, fingerprint = `print of ${version}`) => ({
  by: "ann",
  version: { version, fingerprint },
  cutFirst: false,
});

/** The record once the leak is written down, before anything is done about it. */
function marked(record: RotationRecord, { version, by }: ReturnType<typeof leak>): RotationRecord {
  const others = record.compromised.filter((entry) => entry.version !== version.version);
  const compromised = [...others, { ...version, reportedBy: by, at: now }];
  return { ...record, epoch: 8, lease: undefined, compromised };
}
const told = (version: string, detail = "") => ({
  notes: [{ action: "emergency.requested", detail, version, actor: "ann" }],
  events: [
    {
      type: "dev.keyturn.secret.revoked.v1",
      step: `revoked/${version}`,
      data: { epoch: 8, version },
    },
  ],
});
const same = (record: RotationRecord): Transition => ({ record, notes: [], events: [] });
const soon = { attempts: 0, notBefore: now };
const leakedNow = { reason: "leaked", cutFirst: false, notBefore: now } as const;
const compromised = { code: "leaked", message: "pending is compromised" };

type Strike = (marked: RotationRecord) => Transition;
const cutNow =
  (version: string, fingerprint = `print of ${version}`): Strike =>
  (record) =>
    same(owe(record, { version, fingerprint }, leakedNow, now));
const again: Strike = (record) => {
  const { state } = record;
  if (state.phase === "idle" || state.phase === "halted")
    throw new Error(`nothing goes on in ${state.phase}`);
  return same({ ...record, state: { ...state, ...soon } });
};
const urgent: Strike = (record) => {
  const { state } = record;
  if (state.phase !== "create" && state.phase !== "set") throw new Error(`no candidate in ${state.phase}`);
  return same({ ...record, state: { ...state, ...soon, rotation: { ...state.rotation, urgent: true } } });
};
const successor =
  (leaves: string | undefined): Strike =>
  (record) =>
    supersede(record, leaves === undefined ? undefined : mark(leaves), around);
const takenBack =
  (of = rotation): Strike =>
  (record) => {
    const undone = enterUndo(record, of, compromised, around);
    return {
      ...undone,
      record: { ...undone.record, wish: { kind: "rotate", requestedBy: "emergency", at: now } },
    };
  };
const retired: Strike = (record) =>
  enterRetire(record, rotation, { forced: true, why: "it is compromised" }, around);

describe("of what has leaked, and where it stands, the answer is the whole of it:", () => {
  const known = [{ ...mark("v0"), reportedBy: "bob", at: 3 }];

  test.each<readonly [string, RotationRecord, ReturnType<typeof leak>, Strike]>([
    ["current, at rest", recordIn({ phase: "idle" }, "v1"), leak("v1"), successor(undefined)],
    [
      "current, by its value",
      recordIn({ phase: "idle" }, "v1"),
      leak("v9", "print of v1"),
      successor(undefined),
    ],
    [
      "current, by its version alone",
      recordIn({ phase: "idle" }, "v1"),
      leak("v1", "by another key"),
      successor(undefined),
    ],
    [
      "current, by a name that it had before",
      { ...recordIn({ phase: "idle" }, "v1"), sameLogin: [["v1", "v9"]] },
      leak("v9"),
      successor(undefined),
    ],
    ["current, while its successor is made", recordIn(inPhase("create"), "v1"), leak("v1"), urgent],
    ["current, while its successor is set", recordIn(inPhase("set"), "v1"), leak("v1"), urgent],
    [
      "current, which a rollback would bring back as well",
      recordIn(inPhase("set", { ...rotation, restores: mark("v1") }), "v1"),
      leak("v1"),
      successor("v2"),
    ],
    [
      "current, which a rollback that has saved nothing would bring back",
      recordIn(inPhase("create", { ...rollback, previous: mark("v1") }), "v1"),
      leak("v1"),
      successor(undefined),
    ],
    ["current, while a candidate is taken back", recordIn(undo(), "v1"), leak("v1"), successor("v2")],
    [
      "current, while a rollback is taken back that has saved nothing",
      recordIn(undo(rollback), "v2"),
      leak("v2"),
      successor("v1"),
    ],
    ["current, in grace", recordIn(grace, "v2"), leak("v2"), successor("v1")],
    ["current, while the old one is retired", recordIn(retire(false), "v2"), leak("v2"), successor("v1")],
    [
      "current, halted before it was published",
      recordIn(halted("set", rotation), "v1"),
      leak("v1"),
      successor("v2"),
    ],
    [
      "current, halted before a rollback had saved anything",
      recordIn(halted("create", rollback), "v2"),
      leak("v2"),
      successor("v1"),
    ],
    [
      "current, halted in announce",
      recordIn(halted("announce", rotation), "v2"),
      leak("v2"),
      successor("v1"),
    ],
    ["current, halted in grace", recordIn(halted("grace", rotation), "v2"), leak("v2"), successor("v1")],
    ["current, halted in retire", recordIn(halted("retire", rotation), "v2"), leak("v2"), successor("v1")],
    ["current, halted with no rotation", recordIn(halted("idle"), "v1"), leak("v1"), successor(undefined)],
    ["current, halted in grace with none", recordIn(halted("grace"), "v1"), leak("v1"), successor(undefined)],
    ["current, while it is published", recordIn(inPhase("finish"), "v1"), leak("v1"), again],
    ["what is being published", recordIn(inPhase("announce"), "v1"), leak("v2"), again],
    ["a candidate", recordIn(inPhase("set"), "v1"), leak("v2"), takenBack()],
    ["a candidate, by its value", recordIn(inPhase("set"), "v1"), leak("v9", "print of v2"), takenBack()],
    [
      "a candidate that is not saved yet, by its id",
      recordIn(inPhase("create", { ...rotation, pending: undefined }), "v1"),
      leak("v2"),
      takenBack({ ...rotation, pending: undefined }),
    ],
    [
      "what a rollback brings back",
      recordIn(inPhase("create", rollback), "v2"),
      leak("v1"),
      takenBack(rollback),
    ],
    ["a candidate that is taken back already", recordIn(undo(), "v1"), leak("v2"), same],
    ["the old one, in grace", recordIn(grace, "v2"), leak("v1"), retired],
    ["the old one, while it is retired", recordIn(retire(false), "v2"), leak("v1"), retired],
    ["the old one, which is being cut already", recordIn(retire(true), "v2"), leak("v1"), cutNow("v1")],
    ["the old one, halted", recordIn(halted("grace", rotation), "v2"), leak("v1"), cutNow("v1")],
    ["what is none of them", recordIn(grace, "v2"), leak("v0"), cutNow("v0")],
    [
      "what was known to have leaked",
      recordIn({ phase: "idle" }, "v1", {
        compromised: [...known, { ...mark("v8"), reportedBy: "bob", at: 3 }],
      }),
      leak("v0"),
      cutNow("v0"),
    ],
    [
      "what is owed, and cut first already",
      recordIn({ phase: "idle" }, "v1", { debts: [debt("v0", { cutFirst: true })] }),
      leak("v0"),
      same,
    ],
    [
      "what is owed, and waits",
      recordIn({ phase: "idle" }, "v1", { debts: [debt("v0"), debt("v8", { cutFirst: true })] }),
      leak("v0"),
      cutNow("v0"),
    ],
  ])("%s", (_, record, emergency, strike) => {
    const after = strike(marked(record, emergency));
    const { notes, events } = told(emergency.version.version);
    expect(cutOff(record, emergency, around)).toEqual({
      record: after.record,
      notes: [...notes, ...after.notes],
      events: [...events, ...after.events],
    });
  });
});

describe("what is to be cut first", () => {
  const first = { ...leak("v0"), cutFirst: true };
  const record = recordIn({ phase: "idle" }, "v1");

  test("is owed at once, before all else", () => {
    const owing = owe(marked(record, first), mark("v0"), { ...leakedNow, cutFirst: true }, now);
    expect(cutOff(record, first, around)).toEqual({ record: owing, ...told("v0", "cut first") });
  });

  test("is owed as its target knows it, where it has leaked by another name of current", () => {
    const named = { ...record, sameLogin: [["v1", "v0"]] as [string, string][] };
    const owing = owe(marked(named, first), mark("v1"), { ...leakedNow, cutFirst: true }, now);
    expect(cutOff(named, first, around).record.debts).toEqual(owing.debts);
    expect(owing.debts).toMatchObject([{ version: "v1", fingerprint: "print of v1", cutFirst: true }]);
  });

  test.each([
    ["of what is being retired", recordIn(retire(true), "v2", { sameLogin: [["v1", "v0"]] })],
    [
      "of what is owed",
      recordIn({ phase: "idle" }, "v2", {
        sameLogin: [["v1", "v0"]],
        debts: owe(recordIn({ phase: "idle" }, "v2"), mark("v1"), { ...leakedNow, cutFirst: false }, now)
          .debts,
      }),
    ],
  ])("or of another name %s: one debt, as the target knows it", (_, before) => {
    const { debts } = cutOff(before, leak("v0"), around).record;
    expect(debts.map(({ version, reason }) => [version, reason])).toEqual([["v1", "leaked"]]);
  });

  test("of a cutover type is cut by its successor, as ever", () => {
    expect(cutOff(record, first, cutover)).toEqual(cutOff(record, leak("v0"), cutover));
  });
});
