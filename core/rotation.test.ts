import { describe, expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import type { Outcome } from "./outcome.ts";
import {
  type Debt,
  newRecord,
  type Rotation,
  type RotationRecord,
  type State,
  type VersionMark,
} from "./record.ts";
import { next } from "./rotation.ts";

const now = 1_000_000;
const around = { policy: defaultTestPolicy, overlap: "both-live" as const, now, newId: "v3" };
const mark = (version: string): VersionMark => ({ version, fingerprint: `print of ${version}` });
const rotation: Rotation = {
  id: "v2",
  kind: "rotate",
  urgent: false,
  requestedBy: "ann",
  startedAt: 0,
  pending: mark("v2"),
  previous: mark("v1"),
};
const tries = { attempts: 0, notBefore: now };
const grace = {
  phase: "grace",
  rotation,
  since: now - 10,
  confirmAt: now,
  refusals: 0,
  adopted: false,
  laggardsNamed: false,
  ...tries,
} as const satisfies State;
const debt: Debt = { ...mark("v1"), reason: "retired", since: now - 10, cutFirst: false, ...tries };

function record(state: State, changes: Partial<RotationRecord> = {}): RotationRecord {
  const current = { ...mark(state.phase === "announce" ? "v2" : "v1"), since: 5 };
  return { ...newRecord("app/db"), epoch: 7, current, state, ...changes };
}
const working = (
  phase: "create" | "set" | "test" | "finish" | "announce",
  changes: Partial<Rotation> = {},
): State => ({
  phase,
  rotation: { ...rotation, ...changes },
  ...tries,
});
const undo: State = { phase: "undo", rotation, reason: "", ...tries };
const retire: State = { phase: "retire", rotation, since: now - 10, forced: false, ...tries };

const failure = (code: "unreachable" | "login-refused" | "fence-conflict" | "conflict") =>
  ({
    result: "failed",
    code,
    message: "because",
    disposition:
      code === "unreachable" || code === "conflict" ? "retry" : code === "login-refused" ? "reject" : "halt",
  }) as const;

describe("a step that is done leads to the next", () => {
  const done: [string, State, Outcome, string][] = [
    [
      "create",
      working("create"),
      { step: "create", result: "saved", pending: mark("v2"), current: mark("v1") },
      "set",
    ],
    ["create", working("create"), { step: "create", result: "foreign", pending: mark("v9") }, "create"],
    ["set", working("set"), { step: "set", result: "done" }, "test"],
    ["test", working("test"), { step: "test", result: "done" }, "finish"],
    ["finish", working("finish"), { step: "finish", result: "done" }, "announce"],
    ["announce", working("announce"), { step: "announce", result: "done" }, "grace"],
    ["announce", working("announce", { previous: undefined }), { step: "announce", result: "done" }, "idle"],
    ["announce", working("announce", { urgent: true }), { step: "announce", result: "done" }, "retire"],
    ["undo", undo, { step: "undo", result: "done" }, "idle"],
  ];
  test.each(done)("%s", (_step, state, outcome, phase) => {
    const after = next(record(state), outcome, around);
    expect(after.record.state.phase).toBe(phase);
    expect(after.notes).not.toEqual([]);
    if (after.record.state.phase !== "idle") expect(after.record.state).toMatchObject({ attempts: 0 });
  });

  test("finish makes the candidate current, now", () => {
    const after = next(record(working("finish")), { step: "finish", result: "done" }, around);
    expect(after.record.current).toEqual({ ...mark("v2"), since: now });
  });

  test("create takes the store's word for what is current, and says so when that was changed from outside", () => {
    const outcome = { step: "create", result: "saved", pending: mark("v2"), current: mark("v8") } as const;
    const after = next(record(working("create")), outcome, around);
    expect(after.record.current).toEqual({ ...mark("v8"), since: now });
    expect(after.record.state).toMatchObject({ rotation: { previous: mark("v8"), pending: mark("v2") } });
    expect(after.notes[0]?.detail).toContain("from outside");
    const same = next(record(working("create")), { ...outcome, current: mark("v1") }, around);
    expect(same.record.current).toEqual({ ...mark("v1"), since: 5 });
    expect(same.notes[0]?.detail).toBe("");
  });

  test("another rotation's candidate is owed before it is put aside, under a new epoch", () => {
    const after = next(
      record(working("create")),
      { step: "create", result: "foreign", pending: mark("v9") },
      around,
    );
    expect(after.record).toMatchObject({
      epoch: 8,
      debts: [{ ...mark("v9"), reason: "foreign", notBefore: now }],
    });
  });

  test("retire owes the old version from its first moment, one cache TTL ahead, or at once when nobody is asked", () => {
    const announced = { current: { ...mark("v2"), since: now } };
    const urgent = next(
      record(working("announce", { urgent: true }), announced),
      { step: "announce", result: "done" },
      around,
    );
    expect(urgent.record).toMatchObject({
      epoch: 8,
      state: { forced: true, notBefore: now },
      debts: [{ ...mark("v1"), reason: "retired", notBefore: now }],
    });
  });
});

describe("after announce the row is looked up again", () => {
  const announced = { step: "announce", result: "done" } as const;
  const current = { ...mark("v2"), since: now };
  const leaked = (version: string) => [{ ...mark(version), reportedBy: "ann", at: 0 }];

  test("previous leaked meanwhile: no grace", () => {
    const after = next(
      record(working("announce"), { current, compromised: leaked("v1") }),
      announced,
      around,
    ).record;
    expect(after.state).toMatchObject({ phase: "retire", forced: true });
    expect(after.debts).toMatchObject([{ version: "v1", reason: "leaked" }]);
  });

  test("the new one leaked meanwhile: a successor begins, and the old one is owed", () => {
    const after = next(
      record(working("announce"), { current, compromised: leaked("v2") }),
      announced,
      around,
    ).record;
    expect(after.state).toMatchObject({
      phase: "create",
      rotation: { id: "v3", urgent: true, previous: mark("v2") },
    });
    expect(after.debts).toMatchObject([{ version: "v1" }]);
    expect(after.epoch).toBe(8);
  });
});

describe("a step that fails", () => {
  const steps = ["create", "set", "test", "finish", "announce"] as const;

  test.each([...steps, "undo"] as const)("%s is tried again after an outage, later each time", (step) => {
    const state = step === "undo" ? undo : working(step);
    const first = next(record(state), { step, ...failure("unreachable") }, around);
    expect(first.record.state).toMatchObject({ phase: step, attempts: 1, notBefore: now + 100 });
    const second = next(first.record, { step, ...failure("unreachable") }, around);
    expect(second.record.state).toMatchObject({ phase: step, attempts: 2, notBefore: now + 200 });
    expect(second.notes).toMatchObject([{ action: `${step}.failed`, detail: "try 2: unreachable: because" }]);
  });

  test.each(["create", "set", "test"] as const)(
    "%s is undone when it is rejected, or fails too often",
    (step) => {
      const rejected = next(record(working(step)), { step, ...failure("login-refused") }, around);
      expect(rejected.record).toMatchObject({
        epoch: 8,
        state: { phase: "undo", attempts: 0, notBefore: now },
      });
      expect(rejected.events).toMatchObject([{ data: { outcome: "undone", code: "login-refused" } }]);
      const tired: State = { ...working(step), ...{ attempts: 2 } };
      expect(next(record(tired), { step, ...failure("unreachable") }, around).record.state.phase).toBe(
        "undo",
      );
    },
  );

  test("finish halts on a rejection and on a conflict that stays; an outage it waits out, and says so once", () => {
    const step = "finish";
    expect(
      next(record(working(step)), { step, ...failure("login-refused") }, around).record.state.phase,
    ).toBe("halted");
    const tired: State = { ...working(step), ...{ attempts: 2 } };
    expect(next(record(tired), { step, ...failure("conflict") }, around).record.state.phase).toBe("halted");
    const delayed = next(record(tired), { step, ...failure("unreachable") }, around);
    expect(delayed.record.state).toMatchObject({ phase: "finish", attempts: 3 });
    expect(delayed.events).toMatchObject([{ data: { outcome: "delayed" } }]);
    const later = next(delayed.record, { step, ...failure("unreachable") }, around);
    expect(later).toMatchObject({
      events: [],
      notes: [],
      record: { state: { phase: "finish", attempts: 4 } },
    });
  });

  test("announce goes on without the bus: after its tries, and at once in an emergency", () => {
    const step = "announce";
    const tired: State = { ...working(step), ...{ attempts: 2 } };
    expect(next(record(tired), { step, ...failure("unreachable") }, around).record.state.phase).toBe("grace");
    const urgent = next(record(working(step, { urgent: true })), { step, ...failure("unreachable") }, around);
    expect(urgent.record.state.phase).toBe("retire");
  });

  test.each(["create", "set", "test", "finish", "undo"] as const)(
    "%s calls a person where a retry could do harm",
    (step) => {
      const state = step === "undo" ? undo : working(step);
      const after = next(record(state), { step, ...failure("fence-conflict") }, around);
      expect(after.record.state).toMatchObject({
        phase: "halted",
        from: step,
        code: "fence-conflict",
        at: now,
      });
      expect(after.events).toMatchObject([{ data: { outcome: "halted" } }]);
    },
  );
});

describe("in grace", () => {
  const published = { current: { ...mark("v2"), since: now - 10 } };
  const refused = { step: "confirm", result: "refused", previousWorks: true } as const;

  test("a new credential that works ends a row of refusals; no answer neither ends nor lengthens it", () => {
    const twice = record({ ...grace, refusals: 2 }, published);
    expect(next(twice, { step: "confirm", result: "works" }, around).record.state).toMatchObject({
      refusals: 0,
    });
    for (const outcome of [
      { step: "confirm", result: "unknown" } as const,
      { step: "confirm", ...failure("unreachable") } as const,
    ]) {
      const after = next(twice, outcome, around).record.state;
      expect(after).toMatchObject({ phase: "grace", refusals: 2, confirmAt: now + 10_000 });
    }
  });

  test("refused three times in a row, with the old one proven good: rolled forward to the old value", () => {
    const once = next(record(grace, published), refused, around);
    expect(once.record.state).toMatchObject({ phase: "grace", refusals: 1 });
    const after = next(record({ ...grace, refusals: 2 }, published), refused, around).record;
    expect(after.state).toMatchObject({
      phase: "create",
      rotation: { kind: "rollback", restores: mark("v1") },
    });
  });

  test("refused three times with the old one dead or compromised: a person", () => {
    const third = record({ ...grace, refusals: 2 }, published);
    const dead = next(third, { ...refused, previousWorks: false }, around).record.state;
    expect(dead).toMatchObject({ phase: "halted", from: "grace", code: "current-broken" });
    const compromised = [{ ...mark("v1"), reportedBy: "ann", at: 0 }];
    expect(next({ ...third, compromised }, refused, around).record.state.phase).toBe("halted");
  });
});

describe("a debt", () => {
  const owing = record(retire, { debts: [debt], current: { ...mark("v2"), since: 0 } });
  const paid = {
    step: "settle",
    debt,
    result: "refused",
    sessionsEnded: 4,
    survives: ["a token, 5 minutes"],
  } as const;

  test("that is paid ends the retire that it is of, and is told", () => {
    const leaked = { ...owing, compromised: [{ ...mark("v1"), reportedBy: "ann", at: 0 }] };
    const after = next(leaked, paid, around);
    expect(after.record).toMatchObject({
      state: { phase: "idle" },
      debts: [],
      compromised: [{ refusedAt: now }],
    });
    expect(after.notes.map((note) => note.action)).toEqual(["debt.paid", "rotation.ended"]);
    expect(after.notes[0]?.detail).toBe(
      `proven refused, ${(now / 1_000).toFixed(1)} s after it was reported; 4 sessions ended; survives: a token, 5 minutes`,
    );
    expect(after.events).toMatchObject([
      { type: "dev.keyturn.secret.retired.v1", data: { version: "v1", sessionsEnded: 4 } },
    ]);
  });

  test("of something else leaves the state alone", () => {
    const other = { ...debt, ...mark("v0") };
    const after = next(record(grace, { debts: [other] }), { ...paid, debt: other }, around).record;
    expect(after).toMatchObject({ state: { phase: "grace" }, debts: [] });
  });

  test("that cannot be paid is never forgotten: later each time, and told once", () => {
    const failed = { step: "settle", debt, ...failure("unreachable") } as const;
    const first = next(owing, failed, around);
    expect(first.record.debts).toMatchObject([{ attempts: 1, notBefore: now + 100 }]);
    const third = next({ ...owing, debts: [{ ...debt, attempts: 2 }] }, failed, around);
    expect(third.events).toMatchObject([{ data: { outcome: "delayed" } }]);
    const twentieth = next({ ...owing, debts: [{ ...debt, attempts: 19 }] }, failed, around);
    expect(twentieth).toMatchObject({
      events: [],
      notes: [],
      record: { debts: [{ attempts: 20, notBefore: now + 5_000 }] },
    });
  });

  test("still in use at the target waits, and names who", () => {
    const inUse = { step: "settle", debt, result: "in-use", clients: ["psql on 10.0.0.9"] } as const;
    const after = next(owing, inUse, around);
    expect(after.record).toMatchObject({
      state: { phase: "retire" },
      debts: [{ attempts: 1, notBefore: now + 500 }],
    });
    expect(after.notes[0]?.detail).toContain("psql on 10.0.0.9");
  });

  test("that nobody knows any more changes nothing", () => {
    const settled = record({ phase: "idle" });
    expect(next(settled, paid, around)).toEqual({ record: settled, notes: [], events: [] });
  });
});

test("an outcome that the state does not wait for changes nothing", () => {
  const late: Outcome[] = [
    { step: "set", result: "done" },
    { step: "confirm", result: "works" },
    { step: "undo", ...failure("unreachable") },
    { step: "finish", result: "done" },
  ];
  for (const state of [{ phase: "idle" } as const, working("create"), working("announce"), retire]) {
    for (const outcome of late) {
      const before = record(state);
      expect(next(before, outcome, around)).toEqual({ record: before, notes: [], events: [] });
    }
  }
});

test("what an undo finds published goes on as finish leaves it", () => {
  const { record: after, notes } = next(record(undo), { step: "undo", result: "published" }, around);
  expect(after).toEqual(next(record(working("finish")), { step: "finish", result: "done" }, around).record);
  expect(after.state.phase).toBe("announce");
  expect(notes).toMatchObject([{ action: "finish.done", detail: "", version: rotation.id }]);
});

describe("a rollback that is undone", () => {
  const restoring: Rotation = {
    ...rotation,
    id: "v3",
    kind: "rollback",
    restores: mark("v1"),
    pending: undefined,
    previous: mark("v2"),
  };
  const rollback: State = { ...undo, rotation: restoring };
  const current = { ...mark("v2"), since: 0 };
  const done = { step: "undo", result: "done" } as const;

  test.each(["both-live", "cutover"] as const)(
    "goes back to the grace that it had ended: the old value of a %s type, or its sessions, are still the fleet's",
    (overlap) => {
      const after = next(record(rollback, { current }), done, { ...around, overlap }).record;
      expect(after).toMatchObject({
        debts: [],
        state: { phase: "grace", rotation: { id: "v2", previous: mark("v1") } },
      });
    },
  );

  test("owes the old value where that has leaked", () => {
    const compromised = [{ ...mark("v1"), reportedBy: "ann", at: 0 }];
    const leaked = next(record(rollback, { current, compromised }), done, around).record;
    expect(leaked).toMatchObject({
      state: { phase: "idle" },
      debts: [{ version: "v1", reason: "superseded" }],
    });
  });
});

test("after each rotation that was undone the schedule waits longer, until one ends well", () => {
  const once = next(record(undo), { step: "undo", result: "done" }, around).record;
  expect(once).toMatchObject({ scheduleFailures: 1, scheduleNotBefore: now + 5_000 });
  const twice = next({ ...once, state: undo }, { step: "undo", result: "done" }, around).record;
  expect(twice).toMatchObject({ scheduleFailures: 2, scheduleNotBefore: now + 10_000 });
  const announced = { ...working("announce"), rotation: { ...rotation, previous: undefined } };
  const well = next({ ...twice, state: announced }, { step: "announce", result: "done" }, around).record;
  expect(well.scheduleFailures).toBe(0);
});

test("announce never calls a person: an event is a hint", () => {
  const after = next(
    record(working("announce")),
    { step: "announce", ...failure("fence-conflict") },
    around,
  ).record;
  expect(after.state.phase).toBe("grace");
});

describe("the successor of a compromised current", () => {
  const compromised = [{ ...mark("v1"), reportedBy: "ann", at: 0 }];
  const tired = (step: "create" | "set" | "test"): RotationRecord =>
    record({ ...working(step), ...{ attempts: 9 } }, { compromised });

  test.each(["create", "set", "test"] as const)("%s is not given up for an outage", (step) => {
    const after = next(tired(step), { step, ...failure("unreachable") }, around).record.state;
    expect(after).toMatchObject({ phase: step, attempts: 10, notBefore: now + 5_000 });
  });

  test("a rejected one is undone where current still works beside it, and replaced where it does not", () => {
    const rejected = { step: "test", ...failure("login-refused") } as const;
    expect(next(tired("test"), rejected, around).record.state.phase).toBe("undo");
    const cutover = next(tired("test"), rejected, { ...around, overlap: "cutover" }).record;
    expect(cutover).toMatchObject({
      state: { phase: "create", rotation: { id: "v3" } },
      debts: [{ version: "v2" }],
    });
  });

  test("one that an undo had put aside before is replaced", () => {
    const lost = { step: "set", ...failure("fence-conflict"), code: "pending-lost" } as const;
    expect(next(tired("set"), lost, around).record.state).toMatchObject({
      phase: "create",
      rotation: { id: "v3" },
    });
  });

  test("that cannot be set or published for another reason than an outage is replaced, and no person waited for", () => {
    const stuck = { step: "set", ...failure("fence-conflict") } as const;
    const after = next(tired("set"), stuck, around);
    expect(after.record.state).toMatchObject({ phase: "create", rotation: { id: "v3", urgent: true } });
    expect(after.events).toMatchObject([{ data: { outcome: "delayed", code: "fence-conflict" } }]);
    const finishing = record({ phase: "finish", rotation, ...tries }, { compromised });
    expect(next(finishing, { step: "finish", ...failure("conflict") }, around).record.state.phase).toBe(
      "create",
    );
  });

  test("does not spin when its successors keep failing", () => {
    const late = record(
      { phase: "test", rotation, ...tries },
      { compromised, urgentNotBefore: now + 700, urgentAttempts: 3 },
    );
    const outcome = { step: "test", ...failure("login-refused") } as const;
    const after = next(late, outcome, { ...around, overlap: "cutover" }).record;
    expect(after.state).toMatchObject({ phase: "create", notBefore: now + 700 });
    expect(after.urgentAttempts).toBe(4);
  });
});
