import { expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import type { Action, StepName } from "./decide.ts";
import {
  beginsByItself,
  closedWith,
  closing,
  type Driven,
  isUrgent,
  leave,
  patienceMs,
  withRotation,
} from "./driven.ts";
import { newRecord, type Rotation, type RotationRecord } from "./record.ts";
import { begin, enterIdle, type Surroundings, stay } from "./transition.ts";

const now = 1_000_000;
const policy = { ...defaultTestPolicy, stepDeadlineMs: 700 };
const around: Surroundings = { policy, overlap: "both-live", now, newId: "new" };
const rotation: Rotation = { id: "v2", kind: "rotate", urgent: false, requestedBy: "ann", startedAt: 0 };
const until = (time: number): Rotation => ({ ...rotation, handsOffUntil: time });
const inSet = (of: Rotation, changes: Partial<RotationRecord> = {}): RotationRecord => ({
  ...newRecord("app/db"),
  current: { version: "v1", fingerprint: "f1", since: 0 },
  state: { phase: "set", rotation: of, attempts: 0, notBefore: 0 },
  ...changes,
});
const compromised = [{ version: "v1", reportedBy: "bob", at: 3 }];
const step = (name: StepName): Action => ({ do: "step", step: name });
const idle = newRecord("app/db");
const begun = (kind: "rotate" | "rollback", urgent: boolean): Action => ({
  do: "change",
  transition: begin(idle, { kind, urgent, requestedBy: "ann" }, around),
});
const mine = (through: StepName): Driven => ({ rotation: "v2", through });
const theirs: Driven = { rotation: "v9", through: "announce" };

test.each<readonly [string, Action, RotationRecord, Driven | undefined]>([
  ["a step that nobody else drives", step("set"), inSet(rotation), undefined],
  ["a step whose driver was silent for too long", step("set"), inSet(until(now)), undefined],
  ["a step of a driver whose clock was wrong", step("set"), inSet(until(now + 1_401)), undefined],
  [
    "a step of an emergency, whoever drives",
    step("set"),
    inSet({ ...until(now + 1_000), urgent: true }),
    undefined,
  ],
  [
    "a step of a successor, whoever drives",
    step("set"),
    inSet(until(now + 1_000), { compromised }),
    undefined,
  ],
  ["its own step, early in the way", step("create"), inSet(rotation), mine("set")],
  ["its own step, the last it was told", step("set"), inSet(until(now + 1_000)), mine("set")],
  [
    "a step beyond of its own that has become urgent",
    step("test"),
    inSet({ ...rotation, urgent: true }),
    mine("set"),
  ],
  ["a step beyond of its own successor", step("test"), inSet(rotation, { compromised }), mine("set")],
  ["an undo of any rotation", step("undo"), inSet(until(now + 1_000)), theirs],
  ["a look at what is in grace", step("confirm"), inSet(until(now + 1_000)), theirs],
  ["a wait", { do: "wait", until: 5 }, inSet(until(now + 1_000)), theirs],
  ["what begins, where it drives nothing", begun("rotate", false), idle, undefined],
  ["an emergency that begins", begun("rotate", true), idle, theirs],
  ["a change that begins nothing", { do: "change", transition: enterIdle(idle, rotation) }, idle, theirs],
  ["a step without a rotation", step("set"), idle, theirs],
])("a worker takes %s", (_, action, record, driven) => {
  expect(leave(action, record, driven, around)).toBeUndefined();
});

test.each<readonly [string, Action, RotationRecord, Driven | undefined, number]>([
  ["a step that somebody else drives", step("set"), inSet(until(now + 1_400)), undefined, now + 1_400],
  ["a step of a rotation that is not its own", step("set"), inSet(until(now + 1)), theirs, now + 1],
  ["such a step that nobody drives", step("announce"), inSet(rotation), theirs, now],
  [
    "an emergency that is not its own",
    step("set"),
    inSet({ ...until(now + 1_000), urgent: true }),
    theirs,
    now,
  ],
  ["a rotation that would begin by itself", begun("rotate", false), idle, theirs, now],
  ["a rollback that would begin by itself", begun("rollback", false), idle, theirs, now],
])("a worker leaves %s", (_, action, record, driven, time) => {
  expect(leave(action, record, driven, around)).toEqual({ record, until: time });
});

test.each([
  ["create", "set"],
  ["set", "test"],
  ["test", "finish"],
  ["finish", "announce"],
] as const)("told to go through %s, it leaves %s to whoever told it, for two deadlines", (through, next) => {
  const record = inSet(rotation);
  expect(leave(step(next), record, mine(through), around)).toEqual({
    record: inSet(until(now + 1_400)),
    until: now + 1_400,
  });
});

test("patience is two deadlines", () => {
  expect(patienceMs(policy)).toBe(1_400);
});

test("what begins by itself is told with its kind", () => {
  expect(beginsByItself(begun("rollback", false))).toMatchObject({ id: "new", kind: "rollback" });
  expect(beginsByItself(begun("rotate", true))).toBeUndefined();
  expect(beginsByItself(step("create"))).toBeUndefined();
  expect(beginsByItself({ do: "change", transition: stay(inSet(rotation)) })).toBeUndefined();
});

test("a record at rest has no rotation to say another word of", () => {
  expect(withRotation(idle, rotation)).toBe(idle);
});

test("an urgent rotation makes a successor, and so does any while current is compromised", () => {
  expect(isUrgent(inSet(rotation), rotation)).toBe(false);
  expect(isUrgent(inSet(rotation), { urgent: true })).toBe(true);
  expect(isUrgent(inSet(rotation, { compromised }), rotation)).toBe(true);
});

test("the last five ids that were given from outside are remembered, each once", () => {
  expect(closing(idle, rotation)).toEqual({});
  expect(closing(idle, until(0))).toEqual({ closed: ["v2"] });
  expect(closedWith({ ...idle, closed: ["v2", "a"] }, "v2")).toEqual(["a", "v2"]);
  expect(closedWith({ ...idle, closed: ["a", "b", "c", "d", "e"] }, "v2")).toEqual([
    "b",
    "c",
    "d",
    "e",
    "v2",
  ]);
});
