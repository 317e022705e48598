import { describe, expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { type Debt, newRecord, type Rotation, type RotationRecord, type State } from "./record.ts";
import {
  andThen,
  backoffMs,
  beforeFinish,
  begin,
  enterIdle,
  enterRetire,
  enterUndo,
  failed,
  failureNote,
  gap,
  halt,
  isAlarm,
  isCompromised,
  owe,
  rotationOf,
  stay,
  supersede,
} from "./transition.ts";

const now = 1_000_000;
const around = { policy: defaultTestPolicy, overlap: "both-live" as const, now, newId: "v3" };
const cutover = { ...around, overlap: "cutover" as const };
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
const state: State = { phase: "set", rotation, attempts: 2, notBefore: now };
const leaked = (version: string) => ({ ...mark(version), reportedBy: "ann", at: 0 });
const debt = (version: string, changes: Partial<Debt> = {}): Debt => ({
  ...mark(version),
  reason: "superseded",
  since: now,
  cutFirst: false,
  attempts: 0,
  notBefore: now,
  ...changes,
});

function record(changes: Partial<RotationRecord> = {}): RotationRecord {
  return { ...newRecord("app/db"), epoch: 7, current: { ...mark("v1"), since: 5 }, state, ...changes };
}

describe("what is owed", () => {
  const why = { reason: "superseded", cutFirst: false, notBefore: now } as const;

  test.each<readonly [string, Debt | undefined, Parameters<typeof owe>[2], Partial<Debt>]>([
    ["a new one", undefined, why, {}],
    ["one that is cut first", undefined, { ...why, cutFirst: true }, { cutFirst: true }],
    ["one that is known keeps its age", debt("v9", { since: 3 }), why, { since: 3 }],
    ["one that is known is tried anew", debt("v9", { attempts: 4 }), why, { attempts: 0 }],
    ["one that is known becomes due sooner", debt("v9", { notBefore: now + 9 }), why, { notBefore: now }],
    ["and never later", debt("v9", { notBefore: now - 9 }), why, { notBefore: now - 9 }],
    ["what had leaked stays so", debt("v9", { reason: "leaked" }), why, { reason: "leaked" }],
    ["another reason gives way", debt("v9", { reason: "foreign" }), why, { reason: "superseded" }],
    ["what was to be cut first stays so", debt("v9", { cutFirst: true }), why, { cutFirst: true }],
    ["by value, whatever the version was", debt("v9", { version: "v5" }), why, { version: "v9" }],
  ])("%s", (_, known, asked, expected) => {
    const before = record({ debts: [...(known === undefined ? [] : [known]), debt("v0")] });
    const after = owe(before, mark("v9"), asked, now);
    expect(after).toEqual({ ...before, debts: [debt("v0"), debt("v9", expected)] });
  });
});

const { pending: _, ...nothingSaved } = rotation;
const undone = { phase: "undo", rotation, reason: "because", attempts: 0, notBefore: now } as const;
const halted = { phase: "halted", from: "create", code: "internal", reason: "because", at: now } as const;
const creating = (changes: Partial<Rotation>): State => ({
  phase: "create",
  rotation: { ...nothingSaved, ...changes },
  attempts: 0,
  notBefore: now,
});

describe("a rotation that begins", () => {
  const wish = { kind: "rotate", requestedBy: "ann", at: 0 } as const;

  test("when a person asks leaves what emergencies count", () => {
    const before = record({ state: { phase: "idle" }, wish, urgentAttempts: 2, urgentNotBefore: now + 9 });
    const how = { kind: "rotate", urgent: false, requestedBy: "ann" } as const;
    expect(begin(before, how, around)).toEqual({
      record: {
        ...before,
        epoch: 8,
        wish: undefined,
        state: {
          phase: "create",
          rotation: { ...how, id: "v3", startedAt: now, previous: mark("v1") },
          attempts: 0,
          notBefore: now,
        },
      },
      notes: [{ action: "rotate.began", detail: "requested by ann", version: "v3" }],
      events: [],
    });
  });

  test("of a secret without a value has no previous one", () => {
    const how = { kind: "rotate", urgent: false, requestedBy: "ann" } as const;
    const { state: after } = begin(record({ current: undefined }), how, around).record;
    expect(rotationOf(after)?.previous).toBeUndefined();
  });

  test.each<[string, State, string[] | undefined]>([
    ["after one that is over", { phase: "idle" }, undefined],
    ["over one that has saved nothing", creating({}), ["v2"]],
    ["over one that had overtaken others", creating({ aside: ["v0", "v1"] }), ["v0", "v1", "v2"]],
    ["over one whose candidate is known", creating({ pending: mark("v2"), aside: ["v0"] }), undefined],
    ["over one that is undone before it has saved anything", { ...undone, rotation: nothingSaved }, ["v2"]],
    ["over one that a person was called for", { ...halted, rotation: nothingSaved }, ["v2"]],
    ["over none that a person was called for", { ...halted, rotation: undefined }, undefined],
  ])("%s puts aside what may be saved late for it", (_, state, aside) => {
    const how = { kind: "rotate", urgent: true, requestedBy: "emergency" } as const;
    expect(rotationOf(begin(record({ state }), how, around).record.state)?.aside).toEqual(aside);
  });

  test.each<[string, State, string[]]>([
    ["of imports that have not ended", { phase: "idle" }, ["v8", "v9"]],
    [
      "of these and of a rotation that has saved nothing",
      creating({ aside: ["v9", "v1"] }),
      ["v8", "v9", "v1", "v2"],
    ],
  ])("puts aside what may be saved late %s", (_, state, aside) => {
    const how = { kind: "rotate", urgent: false, requestedBy: "ann" } as const;
    const begun = begin(record({ state, importing: ["v8", "v9"] }), how, around).record;
    expect(rotationOf(begun.state)?.aside).toEqual(aside);
    expect(begun.importing).toEqual(["v8", "v9"]);
  });

  test.each([
    [0, now - 5, now, 1, 100],
    [2, now + 9, now + 9, 3, 400],
  ])("in an emergency after %i others waits its turn", (tried, turn, notBefore, attempts, pauseMs) => {
    const before = record({ urgentAttempts: tried, urgentNotBefore: turn });
    const how = { kind: "rotate", urgent: true, requestedBy: "emergency" } as const;
    const after = begin(before, how, around);
    expect(after.record).toMatchObject({
      state: { notBefore, rotation: { urgent: true } },
      urgentAttempts: attempts,
      urgentNotBefore: now + pauseMs,
    });
    expect(after.notes[0]?.detail).toBe("urgent: current is compromised");
  });

  test("to bring a value back no longer owes that value, and any other still", () => {
    const how = { kind: "rollback", urgent: false, requestedBy: "ann", restores: mark("v9") } as const;
    const { record: after } = begin(record({ debts: [debt("v0"), debt("v9")] }), how, around);
    expect(after.debts).toEqual([debt("v0")]);
  });
});

describe("an undo", () => {
  const reason = { code: "login-refused", message: "because" };
  const notes = [{ action: "undo.began", detail: "login-refused: because", version: "v2" }];
  const events = [failed(8, "undone", "v2", reason)];
  const undoing = { phase: "undo", rotation, reason: "because", attempts: 0, notBefore: now } as const;

  test.each([
    ["of a both-live type, whose current has leaked", around, [leaked("v1")]],
    ["of a cutover type", cutover, []],
  ])("%s takes the candidate back", (_, surroundings, compromised) => {
    const before = record({ compromised });
    const after = enterUndo(before, rotation, reason, surroundings);
    expect(after).toEqual({ record: { ...before, epoch: 8, state: undoing }, notes, events });
  });

  test("that would bring a leaked value back into the only slot gives way to a successor", () => {
    const after = enterUndo(record({ compromised: [leaked("v1")] }), rotation, reason, cutover);
    expect(after.record).toMatchObject({
      epoch: 8,
      state: { phase: "create", rotation: { id: "v3", urgent: true, requestedBy: "emergency" } },
      debts: [debt("v2")],
    });
    expect(after.notes.map((note) => note.action)).toEqual(["undo.began", "rotate.began"]);
    expect(after.events).toEqual(events);
  });

  test.each([
    ["nothing", undefined, []],
    ["the value that is current, under another version", { ...mark("v1"), version: "v5" }, []],
    ["another value", mark("v2"), [debt("v2")]],
  ])("a successor owes what was left behind: %s", (_, left, debts) => {
    expect(supersede(record(), left, around).record.debts).toEqual(debts);
  });

  test("a successor owes what was left behind where there is no current one", () => {
    expect(supersede(record({ current: undefined }), mark("v2"), around).record.debts).toEqual([debt("v2")]);
  });
});

describe("retire", () => {
  const published = { current: { ...mark("v2"), since: 5 } };

  test.each([
    [true, [], "retired", now],
    [false, [], "retired", now + 1_000],
    [false, [leaked("v1")], "leaked", now + 1_000],
  ] as const)("forced: %s, leaked: %o", (forced, compromised, reason, notBefore) => {
    const before = record({ ...published, compromised: [...compromised] });
    expect(enterRetire(before, rotation, { forced, why: "because" }, around)).toEqual({
      record: {
        ...before,
        epoch: 8,
        state: { phase: "retire", rotation, since: now, forced, attempts: 0, notBefore },
        debts: [debt("v1", { reason, notBefore })],
      },
      notes: [{ action: "retire.began", detail: "because", version: "v1" }],
      events: [],
    });
  });

  test.each([
    ["a first value", { ...rotation, previous: undefined }],
    ["a rotation to the same value", { ...rotation, previous: mark("v2") }],
  ])("of %s has nothing to do", (_, ended) => {
    const before = record({ ...published, scheduleFailures: 2, urgentAttempts: 2 });
    const idle = { ...before, state: { phase: "idle" }, scheduleFailures: 0, urgentAttempts: 0 };
    const after = enterRetire(before, ended, { forced: true, why: "because" }, around);
    expect(after).toEqual({
      record: idle,
      notes: [{ action: "rotation.ended", detail: "", version: "v2" }],
      events: [],
    });
    expect(after).toEqual(enterIdle(before, ended));
  });

  test("where there is no current one still owes the previous one", () => {
    const after = enterRetire(record({ current: undefined }), rotation, { forced: true, why: "" }, around);
    expect(after.record.debts).toHaveLength(1);
  });
});

test("a halt keeps what was under way, and a second one changes nothing", () => {
  const before = record();
  const why = { code: "timeout", message: "because" };
  const after = halt(before, why, now);
  expect(after).toEqual({
    record: {
      ...before,
      state: { phase: "halted", rotation, from: "set", code: "timeout", reason: "because", at: now },
    },
    notes: [{ action: "halted", detail: "in set: timeout: because" }],
    events: [failed(7, "halted", "set", why)],
  });
  expect(halt(after.record, { code: "other", message: "later" }, now + 1)).toEqual(stay(after.record));
  expect(rotationOf(after.record.state)).toBe(rotation);
  expect(rotationOf({ phase: "idle" })).toBeUndefined();
});

test("a change behind a change comes with the notes and events of both, in their order", () => {
  const event = (about: string) => failed(7, "delayed", about, { code: "timeout", message: "because" });
  const note = (action: string) => ({ action, detail: "" });
  const first = { record: record(), notes: [note("a")], events: [event("a")] };
  const after = andThen(first, (given) => ({
    record: { ...given, epoch: given.epoch + 1 },
    notes: [note("b")],
    events: [event("b")],
  }));
  expect(after).toEqual({
    record: record({ epoch: 8 }),
    notes: [note("a"), note("b")],
    events: [event("a"), event("b")],
  });
  expect(event("a")).toEqual({
    type: "dev.keyturn.rotation.failed.v1",
    step: "delayed/a",
    data: { epoch: 7, outcome: "delayed", code: "timeout", reason: "because" },
  });
  expect(stay(record())).toEqual({ record: record(), notes: [], events: [] });
  expect(stay(record(), note("a"))).toEqual({ record: record(), notes: [note("a")], events: [] });
  expect(failureNote("set", 2, { code: "timeout", message: "because" }, "v2")).toEqual({
    action: "set.failed",
    detail: "try 2: timeout: because",
    version: "v2",
  });
});

test.each([
  ["idle", false],
  ["create", true],
  ["set", true],
  ["test", true],
  ["finish", false],
  ["announce", false],
  ["grace", false],
  ["retire", false],
  ["undo", false],
  ["halted", false],
] as const)("%s is before finish: %s", (phase, expected) => {
  expect(beforeFinish(phase)).toBe(expected);
});

test.each([
  ["its version", { ...mark("v9"), version: "v1" }, true],
  ["its value", { ...mark("v1"), version: "v9" }, true],
  ["neither", mark("v9"), false],
  ["nothing", undefined, false],
])("compromised is what a leak names by %s", (_, asked, expected) => {
  const before = record({ compromised: [leaked("v0"), leaked("v1")] });
  expect(isCompromised(before, asked)).toBe(expected);
});

test.each([
  [0, 100],
  [1, 100],
  [2, 200],
  [6, 3_200],
  [7, 5_000],
  [60, 5_000],
])("after try %i the next waits %i ms", (attempts, expected) => {
  expect(backoffMs(defaultTestPolicy, attempts)).toBe(expected);
});

test("every third try of three is an alarm", () => {
  expect([1, 2, 3, 4, 5, 6].map((attempts) => isAlarm(attempts, { attemptsMax: 3 }))).toEqual([
    false,
    false,
    true,
    false,
    false,
    true,
  ]);
});

test("the gap of a cutover type is said in milliseconds, and a both-live type has none", () => {
  expect(gap({ ...rotation, cutSince: now - 40 }, around)).toBe(
    "the old value was refused, and the new one not current, for at most 40 ms",
  );
  expect(gap(rotation, around)).toBe("");
});
