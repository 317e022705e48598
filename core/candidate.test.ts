import { expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { candidateOf, created } from "./candidate.ts";
import { type Debt, newRecord, type Rotation, type RotationRecord } from "./record.ts";

const now = 1_000_000;
const around = { policy: defaultTestPolicy, overlap: "both-live", now, newId: "v3" } as const;
const mark = (version: string, value = version) => ({ version, fingerprint: `print of ${value}` });
const rotation: Rotation = { id: "v2", kind: "rotate", urgent: false, requestedBy: "ann", startedAt: 0 };
const before: RotationRecord = { ...newRecord("app/db"), current: { ...mark("v1"), since: 5 } };

const namesAfter = (
  changes: Partial<Rotation>,
  stored: ReturnType<typeof mark> | undefined,
  record = before,
) =>
  created(record, { ...rotation, ...changes }, { pending: mark("v2"), current: stored }, around).record
    .sameLogin;

test("a candidate is known by its value once it was recorded as saved, and by its version before", () => {
  expect(candidateOf({ ...rotation, pending: mark("v2") })).toEqual(mark("v2"));
  expect(candidateOf(rotation)).toEqual({ version: "v2", fingerprint: "" });
});

test("a rotation's candidate is no other name of anything", () => {
  expect(namesAfter({}, mark("v1"))).toEqual([]);
  expect(namesAfter({}, undefined)).toEqual([]);
  expect(namesAfter({}, mark("v1"), newRecord("app/db"))).toEqual([]);
});

test("a rollback's candidate is another name of what it brings back", () => {
  expect(namesAfter({ kind: "rollback", restores: mark("v0") }, mark("v1"))).toEqual([["v2", "v0"]]);
});

test("what somebody has stored once more is another name of what was current; another value is not", () => {
  expect(namesAfter({}, mark("v9", "v1"))).toEqual([["v9", "v1"]]);
  expect(namesAfter({}, mark("v9"))).toEqual([]);
  expect(namesAfter({ restores: mark("v0") }, mark("v9", "v1"))).toEqual([
    ["v2", "v0"],
    ["v9", "v1"],
  ]);
});

const owed = (version: string): Debt => ({
  ...mark(version),
  ...{ reason: "superseded", since: 1, cutFirst: false, attempts: 2, notBefore: 3 },
});
const leaked = (version: string): Debt => ({
  ...mark(version),
  ...{ reason: "leaked", since: now, cutFirst: false, attempts: 0, notBefore: now },
});
const leak = (version: string) => ({ ...mark(version), reportedBy: "ann", at: 1 });
const debtsAfter = (record: Partial<RotationRecord>, stored: ReturnType<typeof mark> | undefined) =>
  created({ ...before, ...record }, rotation, { pending: mark("v2"), current: stored }, around).record.debts;

test("a candidate that was taken for lost, and came out nevertheless, is in use: the leaked value that it took over from is owed instead", () => {
  const debts = [owed("v9"), owed("v8")];
  expect(debtsAfter({ debts, compromised: [leak("v1")] }, mark("v9"))).toEqual([owed("v8"), leaked("v1")]);
});

test.each<readonly [string, Partial<RotationRecord>, ReturnType<typeof mark> | undefined, readonly Debt[]]>([
  [
    "what somebody has brought back owes nothing of what it replaced",
    { debts: [owed("v9")] },
    mark("v9"),
    [],
  ],
  [
    "nothing is known of what was current before",
    { debts: [owed("v9")], current: undefined, compromised: [leak("v1")] },
    mark("v9"),
    [],
  ],
  [
    "what has leaked itself is owed as before",
    { debts: [owed("v9")], compromised: [leak("v9")] },
    mark("v9"),
    [owed("v9")],
  ],
  [
    "and what has leaked before it as well",
    { debts: [owed("v9")], compromised: [leak("v9"), leak("v1")] },
    mark("v9"),
    [owed("v9"), leaked("v1")],
  ],
  ["what the record has as current is owed no more either", { debts: [owed("v1")] }, mark("v1"), []],
  [
    "what has leaked, and is current by another name, is owed once",
    { debts: [owed("v9")], compromised: [leak("v1")], sameLogin: [["v9", "v1"]] },
    mark("v9"),
    [owed("v9")],
  ],
  [
    "what a person has stored owes nothing of what has leaked before",
    { debts: [owed("v8")], compromised: [leak("v1")] },
    mark("v9"),
    [owed("v8")],
  ],
  [
    "what is owed and is not current stays owed",
    { debts: [owed("v9")], compromised: [leak("v1")] },
    mark("v1"),
    [owed("v9")],
  ],
  ["nothing is current", { debts: [owed("v9")] }, undefined, [owed("v9")]],
])("%s", (_, record, stored, expected) => {
  expect(debtsAfter(record, stored)).toEqual(expected);
});
