import { describe, expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { pollMs, seenRefused, settled } from "./debt.ts";
import type { Outcome } from "./outcome.ts";
import { type Compromised, type Debt, newRecord, type RotationRecord, type State } from "./record.ts";

const now = 1_000_000;
const around = { policy: defaultTestPolicy, overlap: "both-live" as const, now, newId: "v3" };
const mark = (version: string) => ({ version, fingerprint: `print of ${version}` });
const tries = { attempts: 0, notBefore: now };
const retire = (previous: string | undefined): State => ({
  phase: "retire",
  rotation: {
    id: "v2",
    kind: "rotate",
    urgent: false,
    requestedBy: "ann",
    startedAt: 0,
    previous: previous === undefined ? undefined : mark(previous),
  },
  since: now,
  forced: false,
  ...tries,
});
const debtOf = (version: string, attempts = 0): Debt => ({
  ...mark(version),
  reason: "retired",
  since: 3,
  cutFirst: false,
  attempts,
  notBefore: 9,
});
const failure = { result: "failed", code: "timeout", disposition: "retry", message: "because" } as const;
const refused = { result: "refused", sessionsEnded: 4, survives: [] as string[] } as const;

type Settling = Extract<Outcome, { step: "settle" }>;
const settling = (debt: Debt, outcome: object) => ({ step: "settle", debt, ...outcome }) as Settling;

function recordWith(changes: Partial<RotationRecord>): RotationRecord {
  return { ...newRecord("app/db"), epoch: 7, current: { ...mark("v2"), since: 5 }, ...changes };
}

describe("a debt that is paid", () => {
  const retired = (version: string, sessionsEnded: number) => ({
    type: "dev.keyturn.secret.retired.v1",
    step: `retired/${version}`,
    data: { epoch: 7, version, sessionsEnded },
  });
  const note = (detail: string) => ({ action: "debt.paid", detail, version: "v1" });

  test.each([
    ["with what survives it", { ...refused, survives: ["a token", "a ticket"] }, 4, "a token, a ticket"],
    ["with nothing left", refused, 4, undefined],
  ])("is struck, and no other, and told: %s", (_, outcome, sessions, survives) => {
    const before = recordWith({ debts: [debtOf("v0"), debtOf("v1"), debtOf("v9")] });
    const told = survives === undefined ? "" : `; survives: ${survives}`;
    expect(settled(before, settling(debtOf("v1"), outcome), around)).toEqual({
      record: { ...before, debts: [debtOf("v0"), debtOf("v9")], refused: ["v1"] },
      notes: [note(`proven refused; 4 sessions ended${told}`)],
      events: [retired("v1", sessions)],
    });
  });

  test("of what has leaked says how long after its report it was refused, once", () => {
    const leak = (version: string, at: number) => ({ ...mark(version), reportedBy: "sec", at });
    const told = (compromised: RotationRecord["compromised"]) =>
      settled(recordWith({ debts: [debtOf("v1")], compromised }), settling(debtOf("v1"), refused), {
        ...around,
        now: 14_260,
      }).notes;
    const late = (seconds: string) => [
      note(`proven refused, ${seconds} s after it was reported; 4 sessions ended`),
    ];
    expect(told([leak("v0", 1), leak("v1", 10_000)])).toEqual(late("4.3"));
    expect(told([leak("v1", 10_000), leak("v1", 12_260)])).toEqual(late("4.3"));
    // The clock of whoever reported it was ahead.
    expect(told([leak("v1", 20_000)])).toEqual(late("0.0"));
    expect(told([leak("v0", 1)])).toEqual([note("proven refused; 4 sessions ended")]);
    expect(told([{ ...leak("v1", 10_000), refusedAt: 11_000 }])).toEqual([
      note("proven refused; 4 sessions ended"),
    ]);
  });

  test("because the store has disabled the value, says so", () => {
    const before = recordWith({ debts: [debtOf("v1")] });
    const gone = { result: "gone", sessionsEnded: 0, survives: [] };
    expect(settled(before, settling(debtOf("v1"), gone), around)).toEqual({
      record: { ...before, debts: [], refused: ["v1"] },
      notes: [note("it was disabled after it had been proven refused")],
      events: [retired("v1", 0)],
    });
  });

  test("ends the retire that it is of", () => {
    const before = recordWith({ state: retire("v1"), debts: [debtOf("v1")], urgentAttempts: 2 });
    expect(settled(before, settling(debtOf("v1"), refused), around)).toEqual({
      record: { ...before, debts: [], refused: ["v1"], state: { phase: "idle" }, urgentAttempts: 0 },
      notes: [
        note("proven refused; 4 sessions ended"),
        { action: "rotation.ended", detail: "", version: "v2" },
      ],
      events: [retired("v1", 4)],
    });
  });

  test.each(["v0", undefined])("leaves the retire of %s under way", (previous) => {
    const before = recordWith({ state: retire(previous), debts: [debtOf("v1")] });
    const after = settled(before, settling(debtOf("v1"), refused), around);
    expect(after.record).toEqual({ ...before, debts: [], refused: ["v1"] });
    expect(after.notes).toHaveLength(1);
  });

  test("leaves another state alone, though it is of its rotation", () => {
    const state: State = { ...retire("v1"), phase: "undo", reason: "because" } as State;
    const before = recordWith({ state, debts: [debtOf("v1")] });
    expect(settled(before, settling(debtOf("v1"), refused), around).record.state).toEqual(state);
  });

  test("is known by its value, whatever its version", () => {
    const before = recordWith({ debts: [debtOf("v1")] });
    const other = { ...debtOf("v8"), fingerprint: mark("v1").fingerprint };
    expect(settled(before, settling(other, refused), around).record.debts).toEqual([]);
    expect(settled(before, settling({ ...other, ...mark("v8"), version: "v1" }, refused), around)).toEqual({
      record: before,
      notes: [],
      events: [],
    });
  });
});

describe("an incident's report", () => {
  const leaked = (changes: Partial<Compromised>): Compromised => ({
    version: "v1",
    reportedBy: "ann",
    at: 0,
    ...changes,
  });
  const seen = { now, sessionsEnded: 4, survives: ["a token"] };
  const seenNow = { refusedAt: now, sessionsEnded: 4, survives: ["a token"] };

  test.each([
    ["by version", leaked({}), true],
    ["by value", leaked({ version: "v8", fingerprint: mark("v1").fingerprint }), true],
    ["by another name", leaked({ version: "v7" }), true],
    ["another one", leaked({ version: "v8", fingerprint: mark("v8").fingerprint }), false],
    ["another one of unknown value", leaked({ version: "v8" }), false],
    ["seen refused before", leaked({ refusedAt: 8 }), false],
  ])("says when the target was first seen to refuse it: %s", (_, entry, isIt) => {
    const other = leaked({ ...mark("v0") });
    const before = recordWith({
      compromised: [other, entry],
      debts: [debtOf("v1")],
      sameLogin: [["v7", "v1"]],
    });
    const after = [other, isIt ? { ...entry, ...seenNow } : entry];
    expect(seenRefused(before, mark("v1"), seen)).toEqual(after);
    const paid = settled(before, settling(debtOf("v1"), { ...refused, survives: ["a token"] }), around);
    expect(paid.record.compromised).toEqual(after);
  });
});

describe("a debt that cannot be paid yet", () => {
  const postponed = (attempts: number, waitMs: number) => [
    debtOf("v0"),
    { ...debtOf("v1", attempts), notBefore: now + waitMs },
    debtOf("v9"),
  ];
  const failed = (outcome: string, attempts: number, code: string, reason: string) => ({
    type: "dev.keyturn.rotation.failed.v1",
    step: `${outcome}/v1/${attempts}`,
    data: { epoch: 7, outcome, code, reason },
  });

  // Tries, 3 of which are written; every third one is told.
  test.each([
    [1, 100, true, false],
    [2, 200, true, false],
    [3, 400, true, true],
    [4, 800, false, false],
    [6, 3_200, false, true],
    [7, 5_000, false, false],
  ])("because try %i failed is tried again %i ms later", (attempts, waitMs, isWritten, isTold) => {
    const before = recordWith({ debts: [debtOf("v0"), debtOf("v1", attempts - 1), debtOf("v9")] });
    expect(settled(before, settling(debtOf("v1"), failure), around)).toEqual({
      record: { ...before, debts: postponed(attempts, waitMs) },
      notes: isWritten
        ? [{ action: "retire.failed", detail: `try ${attempts}: timeout: because`, version: "v1" }]
        : [],
      events: isTold ? [failed("delayed", attempts, "timeout", "v1 is not proven refused: because")] : [],
    });
  });

  test.each([
    [1, true, false],
    [2, false, false],
    [3, false, true],
    [4, false, false],
  ])("because it is in use at look %i waits for half a cache TTL", (attempts, isWritten, isTold) => {
    const before = recordWith({ debts: [debtOf("v0"), debtOf("v1", attempts - 1), debtOf("v9")] });
    const reason = "v1 is still used at the target by psql, cron";
    const inUse = { result: "in-use", clients: ["psql", "cron"] };
    expect(settled(before, settling(debtOf("v1"), inUse), around)).toEqual({
      record: { ...before, debts: postponed(attempts, 500) },
      notes: isWritten ? [{ action: "retire.waits", detail: reason, version: "v1" }] : [],
      events: isTold ? [failed("laggards", attempts, "request-refused", reason)] : [],
    });
  });

  test.each([
    [1_000, 500],
    [402, 201],
    [400, 200],
    [10, 200],
  ])(
    "of a cache TTL of %i ms, users are looked for every %i ms, never more than five times a second",
    (cacheTtlMs, everyMs) => {
      expect(pollMs({ cacheTtlMs })).toBe(everyMs);
    },
  );
});

test.each<readonly [string, Partial<RotationRecord>, Partial<RotationRecord>, readonly string[]]>([
  ["at rest", {}, { current: { ...mark("v2"), since: 5 } }, ["rotate.began"]],
  [
    "at rest, where somebody has stored it since",
    { current: { ...mark("v0"), since: 5 } },
    { current: { ...mark("v2"), since: now } },
    ["rotate.began"],
  ],
  [
    "in a grace",
    { state: { ...retire("v0"), phase: "grace", confirmAt: 0, refusals: 0, adopted: false } as State },
    {},
    ["rotate.began"],
  ],
  [
    "while the next one is made",
    { state: { ...retire("v2"), phase: "create" } as State },
    {
      state: expect.objectContaining({
        phase: "create",
        rotation: expect.objectContaining({ urgent: true }),
      }),
    },
    [],
  ],
])(
  "a debt that has leaked, and turns out to be the login of current, is a leak of current from then on: %s",
  (_, changes, expected, begun) => {
    const before = recordWith({ debts: [debtOf("v0"), debtOf("v1")], ...changes });
    const named = { result: "named", current: mark("v2") };
    const { record, notes } = settled(before, settling(debtOf("v1"), named), around);
    expect(record).toMatchObject({ sameLogin: [["v1", "v2"]], ...expected });
    expect(notes[0]).toEqual({
      ...{ action: "emergency.named", detail: "it is the login of v2, which is current", version: "v1" },
    });
    expect(notes.slice(1).map(({ action }) => action)).toEqual(begun);
  },
);
