import { expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { candidateOf, created } from "./candidate.ts";
import { newRecord, type Rotation, type RotationRecord } from "./record.ts";

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
