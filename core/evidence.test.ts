import { describe, expect, test } from "vitest";
import {
  behindBy,
  currentOf,
  isAlike,
  isOutdated,
  isStoreBehind,
  liveCandidate,
  ownMarks,
  toldCompromised,
  unready,
  waitsForPerson,
  wasCut,
} from "./evidence.ts";
import {
  chained,
  debt,
  lost,
  marked,
  now,
  print,
  record,
  recorded,
  seen,
  stored,
  tried,
} from "./examination.contract.ts";
import type { Examination } from "./examine.ts";

const leaked = { version: "v2", reportedBy: "eve", at: now };
const candidate = tried("v2", "pending");
const others = [tried("v1", "current"), tried("v0", undefined)];

test("own are the marks of this secret by this installation", () => {
  const mine = [marked("v1"), marked("v0")];
  const foreign = [marked("v2", { ref: "app/other" }), marked("v2", { installation: "another" })];
  expect(ownMarks(seen({ marks: [...foreign, ...mine] }))).toEqual(mine);
  expect(ownMarks(seen({ marks: undefined }))).toEqual([]);
});

test("current is what stands so in the store, of what was tried", () => {
  expect(currentOf(seen({ tried: [candidate, ...others] }))).toBe(others[0]);
  expect(currentOf(seen({ tried: [candidate] }))).toBeUndefined();
});

test("what the audit says has leaked is known by value where the value can be read", () => {
  const gone = { version: "v9", reportedBy: "eve", at: now };
  const told = chained({ compromised: [leaked, gone] });
  expect(toldCompromised(seen({ ...told, tried: [...others, candidate] }))).toEqual([
    { ...leaked, fingerprint: "print of v2" },
    gone,
  ]);
});

test.each([
  ["by its value", { fingerprint: "print of v2" }, true],
  ["in other words", { login: "login in v2" }, true],
  ["not at all", {}, false],
])("two versions are alike %s", (_, changes, expected) => {
  const other = tried("v9", undefined, "accepted", changes);
  expect([isAlike(candidate, other), isAlike(other, candidate)]).toEqual([expected, expected]);
});

describe("v2 was cut", () => {
  test.each<[string, Partial<Examination>]>([
    ["by the record, by version", { record: recorded({ compromised: [leaked] }) }],
    [
      "by the record, by value",
      { record: recorded({ compromised: [{ ...leaked, ...print("v2"), version: "v9" }] }) },
    ],
    ["by the audit, by version", chained({ compromised: [leaked] })],
    [
      "by the record, in other words",
      {
        tried: [candidate, tried("v9", undefined, "accepted", { login: "login in v2" })],
        record: recorded({ compromised: [{ ...leaked, version: "v9" }] }),
      },
    ],
    [
      "by the audit, in other words",
      {
        tried: [candidate, tried("v9", undefined, "accepted", { login: "login in v2" })],
        ...chained({ compromised: [{ ...leaked, version: "v9" }] }),
      },
    ],
    [
      "at the target, in other words",
      {
        tried: [candidate, tried("v9", undefined, "accepted", { login: "login in v2" })],
        marks: [marked("v9", { verb: "retire" })],
      },
    ],
    [
      "by the audit, by value",
      {
        ...chained({ compromised: [{ ...leaked, version: "v9" }] }),
        tried: [tried("v9", undefined, "refused", { fingerprint: "print of v2" })],
      },
    ],
    ["by the target", { marks: [marked("v1"), marked("v2", { verb: "retire" })] }],
  ])("%s", (_, changes) => {
    expect(wasCut(seen(changes), candidate)).toBe(true);
  });

  test.each<[string, Partial<Examination>]>([
    ["nobody says so", {}],
    ["no journal is there", lost],
    [
      "another has leaked by the record",
      { record: recorded({ compromised: [{ ...leaked, version: "v9" }] }) },
    ],
    ["another has leaked by the audit", chained({ compromised: [{ ...leaked, version: "v9" }] })],
    ["another was shut", { marks: [marked("v9", { verb: "retire" })] }],
    ["the target let it in", { marks: [marked("v2")] }],
    ["another installation shut it", { marks: [marked("v2", { verb: "retire", installation: "another" })] }],
  ])("not where %s", (_, changes) => {
    expect(wasCut(seen(changes), candidate)).toBe(false);
  });
});

describe("a candidate", () => {
  const behind = chained({ end: { sequence: 10, hash: "hash 10" } });
  test.each<[string, Partial<Examination>]>([
    ["works", {}],
    ["works, and another is owed", { record: recorded({ debts: [debt("v0")] }) }],
    ["works, and is owed by an old record alone", { ...behind, record: recorded({ debts: [debt("v2")] }) }],
    ["works, and there is no record", lost],
  ])("is live: it %s", (_, changes) => {
    expect(liveCandidate(seen({ tried: [...others, candidate], ...changes }))).toBe(candidate);
  });

  test.each<[string, Partial<Examination>]>([
    ["is none", { tried: others }],
    ["is refused", { tried: [...others, tried("v2", "pending", "refused")] }],
    ["is not known to work", { tried: [...others, tried("v2", "pending", "unknown")] }],
    ["is owed", { record: recorded({ debts: [debt("v0"), debt("v2")] }) }],
    ["has leaked", { record: recorded({ compromised: [leaked] }) }],
  ])("is not: it %s", (_, changes) => {
    expect(liveCandidate(seen({ tried: [...others, candidate], ...changes }))).toBeUndefined();
  });
});

test.each<[string, Partial<Examination>, boolean]>([
  ["has current", {}, false],
  ["has current, not as such", { versions: [stored("v2", "current"), stored("v1")] }, false],
  ["lacks current", { versions: [stored("v0", "current")] }, true],
  ["is empty", { versions: [] }, true],
  ["has current as a candidate still", { versions: [stored("v1", "pending")] }, true],
  ["has another candidate", { versions: [stored("v2", "pending"), stored("v1", "current")] }, false],
  ["lacks what no journal knows", { ...lost, versions: [] }, false],
  ["lacks current before there was one", { record: recorded({ current: undefined }), versions: [] }, false],
  [
    "has a candidate before there was a current",
    { record: recorded({ current: undefined }), versions: [stored("v1", "pending")] },
    false,
  ],
])("a store that %s is behind: %s", (_, changes, expected) => {
  expect(isStoreBehind(seen(changes))).toBe(expected);
});

describe("a record is outdated", () => {
  test.each<[string, Partial<Examination>, string]>([
    [
      "the target has seen more",
      { marks: [marked("v1", { seen: 5 }), marked("v0", { seen: 8 })] },
      "the target has seen epoch 8, and the journal is at 7",
    ],
    [
      "the audit has parted",
      chained({ isForked: true }),
      "the audit has 9 entries, and where the journal wants to write there is another one",
    ],
    [
      "the audit goes on",
      chained({ end: { sequence: 10, hash: "x" } }),
      "the audit has 10 entries, and the journal knows of 9",
    ],
  ])("where %s", (_, changes, why) => {
    expect(behindBy(seen(changes), record)).toBe(why);
    expect(isOutdated(seen(changes))).toBe(true);
  });

  test("or is none", () => {
    expect(isOutdated(seen(lost))).toBe(true);
  });

  test.each<[string, Partial<Examination>]>([
    ["all know the same", {}],
    ["the audit lacks what waits", chained({ end: { sequence: 8, hash: "x" } })],
    ["another's mark has seen more", { marks: [marked("v1", { seen: 9, installation: "another" })] }],
    ["nothing marks it", { marks: [] }],
  ])("not where %s", (_, changes) => {
    expect(behindBy(seen(changes), record)).toBeUndefined();
    expect(isOutdated(seen(changes))).toBe(false);
  });

  test("and a record at epoch 0 is not behind a target without marks", () => {
    const fresh = recorded({ epoch: 0, audit: { sequence: 9, hash: "" } });
    expect(behindBy(seen({ marks: [] }), fresh)).toBeUndefined();
  });
});

const rights = { check: "rights", ok: false, message: "no CREATEROLE" };
const fence = { check: "fence", ok: false, message: "epoch 9", code: "superseded" } as const;
const network = { check: "network", ok: true, message: "open" };
const ready = { ...fence, ok: true };

test("not ready is what a person has to mend: no epoch that is behind, and nothing that is well", () => {
  expect(unready(seen({ findings: [network, rights, fence, ready] }))).toEqual([rights]);
});

describe("current waits for a person", () => {
  const refused = tried("v1", "current", "refused");
  const older = { versions: [stored("v0", "current")], marks: [] };
  const works = tried("v0", "current");
  const findings = [network, rights];

  test.each<[string, Partial<Examination>]>([
    ["where it is refused", { tried: [refused] }],
    ["where it is refused, and so is the candidate", { tried: [refused, tried("v2", "pending", "refused")] }],
    ["where it works, in a store that is behind", { ...older, tried: [works] }],
  ])("%s", (_, changes) => {
    expect(waitsForPerson(seen({ ...changes, findings }))).toBe(true);
    expect(waitsForPerson(seen({ ...changes, findings: [network, fence] }))).toBe(false);
  });

  test.each<[string, Partial<Examination>]>([
    ["where it works", { tried: [tried("v1", "current")] }],
    ["where nobody knows whether it works", { tried: [tried("v1", "current", "unknown")] }],
    ["where it is refused, and a candidate works", { tried: [refused, candidate] }],
    ["where it is refused, and was cut", { tried: [refused], marks: [marked("v1", { verb: "retire" })] }],
    [
      "where it is refused, in a store that is behind",
      { ...older, tried: [tried("v0", "current", "refused")] },
    ],
    ["where there is none", { versions: [], tried: [] }],
  ])("not %s", (_, changes) => {
    expect(waitsForPerson(seen({ ...changes, findings }))).toBe(false);
  });
});
