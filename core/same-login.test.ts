import { describe, expect, test } from "vitest";
import { newRecord, type Rotation, type RotationRecord } from "./record.ts";
import { alsoNamed, isSameLogin, namesOf, previousNames, refusedFor } from "./same-login.ts";

type Pairs = readonly (readonly [string, string])[];
const recordWith = (pairs: Pairs, changes: Partial<RotationRecord> = {}): RotationRecord => ({
  ...newRecord("app/db"),
  sameLogin: pairs.map(([one, other]): [string, string] => [one, other]),
  ...changes,
});
const mark = (version: string, fingerprint = `print of ${version}`) => ({ version, fingerprint });

test.each<readonly [string, Pairs, string, readonly string[]]>([
  ["one that nobody has brought back has itself", [], "v1", ["v1"]],
  ["of a pair each has the other", [["v3", "v1"]], "v1", ["v1", "v3"]],
  ["of a pair each has the other, either way", [["v3", "v1"]], "v3", ["v3", "v1"]],
  [
    "what was brought back again and again has all",
    [
      ["v3", "v1"],
      ["v4", "v2"],
      ["v5", "v3"],
      ["v9", "v5"],
    ],
    "v3",
    ["v3", "v1", "v5", "v9"],
  ],
  ["what is linked to itself is there once", [["v1", "v1"]], "v1", ["v1"]],
])("the names of a version: %s", (_, pairs, version, names) => {
  expect(namesOf(recordWith(pairs), version)).toEqual(names);
});

describe("what another name is remembered for", () => {
  test("is there once, whichever way it is said", () => {
    const once = alsoNamed(newRecord("app/db"), "v3", "v1");
    expect(once).toEqual({ ...newRecord("app/db"), sameLogin: [["v3", "v1"]] });
    expect(alsoNamed(once, "v1", "v3")).toBe(once);
    expect(alsoNamed(once, "v3", "v3")).toBe(once);
  });

  test("may be several at once, of which the known ones are left out", () => {
    const record = alsoNamed(recordWith([["v3", "v1"]]), "v3", "v1", "v2", "v0");
    expect(record.sameLogin).toEqual([
      ["v3", "v1"],
      ["v3", "v2"],
      ["v3", "v0"],
    ]);
  });

  test("goes when there are fifty newer ones", () => {
    let record = newRecord("app/db");
    for (let other = 1; other <= 51; other += 1) record = alsoNamed(record, "v", `other ${other}`);
    expect(namesOf(record, "v")).toHaveLength(51);
    expect(namesOf(record, "v")).not.toContain("other 1");
    expect(namesOf(record, "v")).toContain("other 51");
  });
});

test.each([
  ["by version", mark("v1"), mark("v1", "by another key"), true],
  ["by value", mark("v1"), mark("v9", "print of v1"), true],
  ["by another name", mark("v1"), mark("v3"), true],
  ["not by anything", mark("v1"), mark("v2"), false],
])("two marks are of one login: %s", (_, one, other, expected) => {
  const record = recordWith([["v3", "v1"]]);
  expect(isSameLogin(record, one, other)).toBe(expected);
  expect(isSameLogin(record, other, one)).toBe(expected);
});

describe("what a rotation replaces", () => {
  const rotation: Rotation = { id: "v4", kind: "rotate", urgent: false, requestedBy: "ann", startedAt: 0 };
  const record = recordWith([
    ["v3", "v1"],
    ["v4", "v3"],
  ]);

  test.each<readonly [string, Rotation | undefined, readonly string[]]>([
    ["is nothing where none is under way", undefined, []],
    ["is nothing of a first one", rotation, []],
    ["has all its names, but for the one that it gets", { ...rotation, previous: mark("v3") }, ["v3", "v1"]],
    ["may have only one", { ...rotation, previous: mark("v2") }, ["v2"]],
  ])("%s", (_, under, names) => {
    expect(previousNames(record, under)).toEqual(names);
  });
});

describe("a login that is proven refused", () => {
  test("is so by all of its names, which it keeps: what one of them has leaked, the others have still", () => {
    const before = recordWith(
      [
        ["v3", "v1"],
        ["v4", "v2"],
        ["v5", "v3"],
      ],
      { refused: ["v0", "v1"] },
    );
    expect(refusedFor(before, "v3")).toEqual({ ...before, refused: ["v0", "v3", "v1", "v5"] });
  });

  test("is forgotten when there are fifty newer ones", () => {
    let record = newRecord("app/db");
    for (let version = 1; version <= 51; version += 1) record = refusedFor(record, `v${version}`);
    expect([record.refused?.length, record.refused?.at(0), record.refused?.at(-1)]).toEqual([
      50,
      "v2",
      "v51",
    ]);
  });
});
