import { expect, test } from "vitest";
import type { KeyMark } from "./marks.ts";
import { type Asking, fateOf } from "./slots.ts";

const hour = 3_600_000;
const now = Date.parse("2026-11-25T12:00:00Z");
const asking: Asking = { config: { keepInactiveMs: hour, deleteImported: false }, now, urgent: false };
const mark: KeyMark = {
  accessKeyId: "AKIA0000000000000001",
  verb: "retire",
  epoch: 4,
  fingerprint: "k1:0",
  rotationId: "r4",
  at: now - 2 * hour,
  imported: false,
  newest: false,
};
const intent = { rotationId: "r5", at: now - 30_000, known: ["AKIA0000000000000009"] };
const key = { accessKeyId: mark.accessKeyId, isActive: false, createdAt: now - 30_000, mark };
const used = (at: number) => ({ at, what: "for s3 in eu-west-1" });

type Case = [
  what: string,
  key: Partial<typeof key> | { mark: undefined },
  used: ReturnType<typeof used> | undefined,
  asking: Partial<Asking>,
  expected: string,
];

test.each<Case>([
  ["a set key", { mark: { ...mark, verb: "set" } }, undefined, {}, "serves"],
  ["a candidate that came to nothing", { mark: { ...mark, verb: "create" } }, undefined, {}, "goes"],
  ["a candidate that somebody uses", { mark: { ...mark, verb: "create" } }, used(now), {}, "request-refused"],
  ["a retired key after its time", {}, undefined, {}, "goes"],
  ["one that was last used before", {}, used(mark.at - 1), {}, "goes"],
  ["one that AWS still let in for a moment", {}, used(mark.at + 60_000), {}, "goes"],
  ["one that was used since", {}, used(mark.at + hour), {}, "request-refused"],
  ["the same in an emergency", {}, used(mark.at + hour), { urgent: true }, "request-refused"],
  ["a retired key before its time", { mark: { ...mark, at: now - 1 } }, undefined, {}, "target-busy"],
  ["the same in an emergency", { mark: { ...mark, at: now - 1 } }, undefined, { urgent: true }, "goes"],
  ["a candidate that was taken back", { mark: { ...mark, at: now, newest: true } }, undefined, {}, "goes"],
  ["a retired key that is active", { isActive: true }, undefined, {}, "request-refused"],
  ["the same in an emergency", { isActive: true }, undefined, { urgent: true }, "request-refused"],
  ["an imported one", { mark: { ...mark, imported: true } }, undefined, {}, "not-managed"],
  [
    "the same in an emergency",
    { mark: { ...mark, imported: true } },
    undefined,
    { urgent: true },
    "not-managed",
  ],
  [
    "an imported one that may be deleted",
    { mark: { ...mark, imported: true } },
    undefined,
    { config: { keepInactiveMs: hour, deleteImported: true } },
    "goes",
  ],
  ["an unmarked one that was announced", { mark: undefined }, undefined, {}, "goes"],
  ["an unmarked one that is used", { mark: undefined }, used(now), {}, "not-managed"],
  [
    "one that came too late",
    { mark: undefined, createdAt: intent.at + 61_000 },
    undefined,
    {},
    "not-managed",
  ],
  [
    "one that was there before",
    { mark: undefined, createdAt: intent.at - 6_000 },
    undefined,
    {},
    "not-managed",
  ],
  [
    "one that was there by its id",
    { mark: undefined, accessKeyId: "AKIA0000000000000009" },
    undefined,
    {},
    "not-managed",
  ],
])("%s: %s", (_, changed, use, other, expected) => {
  const marks = { installation: "i", secret: "s", intent, keys: [] };
  const whole = { ...key, ...changed };
  const fate = fateOf(whole, { keys: [whole], marks }, use, { ...asking, ...other });
  expect(fate.kind === "stays" ? fate.code : fate.kind).toBe(expected);
});

test("without an announcement an unmarked key is somebody else's", () => {
  const marks = { installation: "i", secret: "s", intent: undefined, keys: [] };
  const unmarked = { ...key, mark: undefined };
  expect(fateOf(unmarked, { keys: [unmarked], marks }, undefined, asking)).toMatchObject({
    code: "not-managed",
  });
});
