import { expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import {
  chained,
  debt,
  lost,
  marked,
  now,
  print,
  recorded,
  rotation,
  seen,
  stored,
  tried,
} from "./examination.contract.ts";
import type { Examination } from "./examine.ts";
import type { RotationRecord, State } from "./record.ts";
import { rebuilt } from "./repair.ts";
import type { Surroundings } from "./transition.ts";

/** What a repair leaves as it is where current needs a rotation, and something is not ready for any. */
const policy = defaultTestPolicy;
const around: Surroundings = { policy, overlap: "both-live", now, newId: "new" };
const findings = [{ check: "rights", ok: false, message: "no CREATEROLE" }];
const dead = tried("v1", "current", "refused");
const works = tried("v0", "current");
const older = tried("v0", undefined);
const asOld = { versions: [stored("v0", "current")], marks: [marked("v0")] };
const behind = chained({ end: { sequence: 10, hash: "hash 10" } });
const cutOff = chained({ fault: { kind: "cut-off", sequence: 9 } });
const idle: State = { phase: "idle" };
const inGrace: State = {
  phase: "grace",
  rotation: { ...rotation, id: "v1", pending: print("v1"), previous: print("v0") },
  since: now - 9,
  confirmAt: now + 9,
  attempts: 0,
  notBefore: now,
  refusals: 0,
  adopted: false,
  laggardsNamed: false,
};
const inRetire: State = {
  phase: "retire",
  rotation: inGrace.rotation,
  since: now - 9,
  forced: false,
  attempts: 0,
  notBefore: now,
};
const known = { ...print("v1"), since: now - 500 };

test.each<[string, Partial<Examination>, Partial<RotationRecord>]>([
  ["that is made anew rests though current is refused", { ...lost, tried: [dead] }, { state: idle }],
  [
    "that is old rests though current is refused",
    { ...behind, tried: [dead], record: recorded({ state: inGrace }) },
    { state: idle, debts: [] },
  ],
  [
    "that is made anew keeps the older value, which is all that works, until a person has looked",
    { ...lost, tried: [dead, older] },
    {
      state: {
        phase: "halted",
        rotation: expect.objectContaining({ id: "v1", pending: print("v1"), previous: print("v0") }),
        from: "grace",
        code: "current-broken",
        reason: "the target refuses current, and no rotation can begin that would mend it",
        at: now,
      },
      debts: [],
    },
  ],
  [
    "goes on to owe what the store has for current, where only the audit is mended",
    {
      ...cutOff,
      ...asOld,
      tried: [works],
      record: recorded({ state: inRetire, current: known, debts: [debt("v0")] }),
    },
    { state: inRetire, current: known, debts: [debt("v0")] },
  ],
  [
    "goes on where current is refused and only the audit is mended",
    { ...cutOff, tried: [dead], record: recorded({ state: inGrace, current: known }) },
    { state: inGrace, current: known, debts: [] },
  ],
  [
    "goes on where the store is behind and only the audit is mended, and still knows what is missing",
    { ...cutOff, ...asOld, tried: [works], record: recorded({ state: inGrace, current: known }) },
    { state: inGrace, current: known, debts: [] },
  ],
  [
    "that is old takes over what the store has and the target accepts",
    { ...behind, ...asOld, tried: [works], record: recorded({ state: inGrace, current: known }) },
    { state: idle, current: { ...print("v0"), since: works.createdAt } },
  ],
])("a record %s", (_, changes, expected) => {
  const { record, notes } = rebuilt(seen({ ...changes, findings }), "doctor", around);
  expect(record).toMatchObject(expected);
  const isHalted = record.state.phase === "halted";
  expect(notes.map(({ action }) => action)).toEqual(isHalted ? ["repaired", "halted"] : ["repaired"]);
});

test.each<[string, Partial<Examination>]>([
  ["all is ready", { tried: [dead], findings: [{ check: "rights", ok: true, message: "fine" }] }],
  [
    "the epoch alone is behind",
    { tried: [dead], findings: [{ ...findings[0], code: "superseded" } as never] },
  ],
  [
    "current was cut on purpose",
    { tried: [dead], marks: [marked("v1", { verb: "retire", accepts: false })], findings },
  ],
  [
    "the store is behind, and its current works not",
    { ...asOld, tried: [tried("v0", "current", "refused")], findings },
  ],
  ["there is no current", { versions: [], tried: [], findings }],
])("a rotation begins where %s", (_, changes) => {
  const { record } = rebuilt(seen({ ...behind, ...changes }), "doctor", around);
  expect(record.state.phase).toBe("create");
});

test("what else is owed is owed, and nothing for want of a rotation", () => {
  const foreign = tried("v7", "pending", "refused");
  const examination = seen({
    ...asOld,
    tried: [works, foreign],
    findings,
    record: recorded({ state: inGrace }),
  });
  const { record } = rebuilt(examination, "doctor", around);
  expect(record.debts).toEqual([debt("v7", { reason: "foreign", since: now, notBefore: now })]);
});
