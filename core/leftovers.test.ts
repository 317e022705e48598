import { describe, expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { KeyturnError } from "./errors.ts";
import type { Examination, TriedVersion, Verdict } from "./examine.ts";
import { oweLeftovers, previousOf, revivedIn, strayMarks } from "./leftovers.ts";
import type { StoredVersion } from "./ports.ts";
import { type Debt, newRecord, type Rotation, type RotationRecord, type State } from "./record.ts";
import type { Mark } from "./rotator.ts";

const now = 1_000_000;
const around = { policy: defaultTestPolicy, overlap: "both-live" as const, now, newId: "new" };
const mark = (version: string) => ({ version, fingerprint: `print of ${version}` });
const tried = (
  version: string,
  stage?: StoredVersion["stage"],
  verdict: Verdict = "accepted",
): TriedVersion => ({
  ...mark(version),
  login: `login in ${version}`,
  stage,
  createdAt: 0,
  verdict,
});
const marked = (version: string, changes: Partial<Mark> = {}): Mark => ({
  login: `login of ${version}`,
  verb: "set",
  epoch: 3,
  seen: 3,
  fingerprint: `print of ${version}`,
  rotationId: version,
  ref: "app/db",
  installation: "test",
  accepts: true,
  ...changes,
});
const rotation: Rotation = { id: "v3", kind: "rotate", urgent: false, requestedBy: "ann", startedAt: 0 };
const tries = { attempts: 0, notBefore: 0 };
const inSet = (changes: Partial<Rotation>): { state: State } => ({
  state: { phase: "set", rotation: { ...rotation, ...changes }, ...tries },
});
const debt = (version: string): Debt => ({
  ...mark(version),
  reason: "retired",
  since: 0,
  cutFirst: false,
  ...tries,
});

const known: RotationRecord = { ...newRecord("app/db"), epoch: 7, current: { ...mark("v2"), since: 0 } };
const chain: Examination["chain"] = {
  end: { sequence: 0, hash: "" },
  fault: undefined,
  unwritten: [],
  isForked: false,
  epoch: 0,
  compromised: [],
};
const seen = (changes: Partial<Examination>): Examination => ({
  ref: "app/db",
  installation: "test",
  overlap: "both-live",
  record: known,
  recordFault: undefined,
  revision: 1,
  versions: [],
  tried: [],
  marks: undefined,
  findings: [],
  unasked: undefined,
  chain,
  ...changes,
});
const lost = { record: undefined };
const current = tried("v2", "current");

/** The places in which a record may know v0, so that it is nothing unexpected. */
const expected: readonly (readonly [string, Partial<Examination>])[] = [
  ["current by the record", { record: { ...known, current: { ...mark("v0"), since: 0 } } }],
  ["the one before", { record: { ...known, ...inSet({ previous: mark("v0") }) } }],
  ["the candidate", { record: { ...known, ...inSet({ pending: mark("v0") }) } }],
  ["what is brought back", { record: { ...known, ...inSet({ restores: mark("v0") }) } }],
  ["owed", { record: { ...known, debts: [debt("v9"), debt("v0")] } }],
];

describe("versions that the target should refuse and does not", () => {
  test("are those that work, and that nobody knows of", () => {
    const old = [tried("v1"), tried("v0", "previous")];
    const others = [
      tried("v3", "pending"),
      tried("v4", undefined, "refused"),
      tried("v5", undefined, "unknown"),
    ];
    expect(revivedIn(seen({ tried: [...others, current, ...old] }))).toEqual(old);
  });

  test.each(expected)("are not what is %s", (_, changes) => {
    expect(revivedIn(seen({ tried: [current, tried("v0")], ...changes }))).toEqual([]);
  });

  test.each(expected)(
    "are not the login of what is %s in other words, but where that is owed",
    (which, changes) => {
      const words = { ...tried("v7"), login: "login in v0" };
      const found = revivedIn(seen({ tried: [current, tried("v0"), words], ...changes }));
      expect(found).toEqual(which === "owed" ? [words] : []);
    },
  );

  test("are no other name of current, though that is owed and is to be cut first", () => {
    const words = { ...tried("v7"), login: "login in v2" };
    const record = { ...known, debts: [debt("v2")] };
    expect(revivedIn(seen({ tried: [current, words], record }))).toEqual([]);
  });

  test("are all that work where a record has nothing as current", () => {
    const record = newRecord("app/db");
    expect(revivedIn(seen({ tried: [tried("v0")], record }))).toEqual([tried("v0")]);
  });

  test("are not current by the store, nor anything without a journal", () => {
    const version = { ...tried("v0"), fingerprint: "print of v9" };
    expect(revivedIn(seen({ tried: [tried("v9", "current"), version] }))).toEqual([]);
    expect(revivedIn(seen({ tried: [current, tried("v0")], ...lost }))).toEqual([]);
  });
});

describe("logins that the target lets in, and nobody knows why", () => {
  const clear = marked("v2");
  const stray = marked("v0");
  const both = { tried: [current], marks: [clear, stray] };

  test.each<readonly [string, Partial<Examination>, readonly Mark[]]>([
    ["are told by their marks", both, [stray]],
    ["are told without a journal", { ...both, ...lost }, [stray]],
    ["are told where the store has nothing", { tried: [], marks: [clear, stray] }, [stray]],
    [
      "are told where current is refused",
      { tried: [tried("v2", "current", "refused")], marks: [stray] },
      [stray],
    ],
    [
      "are told though their value is there, and refused",
      { ...both, tried: [current, tried("v0", undefined, "refused")] },
      [stray],
    ],
    ["are none where it is not clear which lets current in", { ...both, marks: [stray] }, []],
    [
      "are none where nobody can tell which lets current in",
      { tried: [tried("v2", "current", "unknown")], marks: [stray] },
      [],
    ],
    ["are none while their value works", { ...both, tried: [current, tried("v0")] }, []],
    ["are none while it may work", { ...both, tried: [current, tried("v0", undefined, "unknown")] }, []],
    [
      "are none where the target shuts them out",
      { ...both, marks: [clear, marked("v0", { accepts: false })] },
      [],
    ],
    ["are none of another secret's", { ...both, marks: [clear, marked("v0", { ref: "other/db" })] }, []],
    [
      "are none of another installation's",
      { ...both, marks: [clear, marked("v0", { installation: "theirs" })] },
      [],
    ],
    ["are none of a cutover type", { ...both, overlap: "cutover" }, []],
    [
      "are none where the target was not asked",
      { ...both, unasked: new KeyturnError("unreachable", "no") },
      [],
    ],
    ["are none where no marks are kept", { tried: [] }, []],
  ])("%s", (_, changes, strays) => {
    expect(strayMarks(seen(changes))).toEqual(strays);
  });

  test.each(expected)("are not what is %s", (_, changes) => {
    expect(strayMarks(seen({ tried: [current], marks: [clear, stray], ...changes }))).not.toContain(stray);
  });
});

describe("the one before, where there is no journal to believe,", () => {
  const older = [tried("v1", "previous", "refused"), tried("v0"), tried("v9")];

  test("is none that holds the login of current, in the same words or in others", () => {
    const same = { ...tried("v1"), fingerprint: "print of v2" };
    const words = { ...tried("v0"), login: "login in v2" };
    expect(previousOf(seen({ ...lost, tried: [current, same, words] }))).toBeUndefined();
    expect(previousOf(seen({ ...lost, tried: [same, words] }))).toBe(same);
  });

  test.each<readonly [string, Partial<Examination>, string | undefined]>([
    [
      "is the newest older one that works",
      { ...lost, tried: [tried("v3", "pending"), current, ...older] },
      "v0",
    ],
    [
      "is none that was cut",
      { ...lost, tried: [current, ...older], marks: [marked("v0", { verb: "retire" })] },
      "v9",
    ],
    ["is none where none works", { ...lost, tried: [current, tried("v0", undefined, "unknown")] }, undefined],
    ["is the record's own affair where there is one", { tried: [current, ...older] }, undefined],
  ])("%s", (_, changes, version) => {
    expect(previousOf(seen(changes))?.version).toBe(version);
  });
});

describe("what is owed", () => {
  const later = now + 1_000;
  const owes = (
    changes: Partial<Examination>,
    isReplacing: boolean,
    policy = around.policy,
  ): readonly (readonly [string, string, number])[] => {
    const examination = seen(changes);
    const record = examination.record ?? newRecord("app/db");
    const after = oweLeftovers(examination, record, isReplacing, { ...around, policy });
    expect({ ...after, debts: record.debts }).toEqual(record);
    return after.debts.slice(record.debts.length).map((one) => {
      expect(one).toEqual({
        version: one.version,
        fingerprint: `print of ${one.version}`,
        reason: one.reason,
        since: now,
        cutFirst: false,
        attempts: 0,
        notBefore: one.notBefore,
      });
      return [one.version, one.reason, one.notBefore];
    });
  };
  const leaked = (version: string) => [{ ...mark(version), reportedBy: "ann", at: 0 }];

  test.each<readonly [string, Partial<Examination>, boolean, readonly (readonly [string, string, number])[]]>(
    [
      ["nothing", { tried: [current] }, false, []],
      [
        "a candidate that no rotation knows",
        { tried: [tried("v9", "pending"), current], record: { ...known, ...inSet({}) } },
        false,
        [["v9", "foreign", now]],
      ],
      [
        "not the candidate of the rotation under way",
        { tried: [tried("v3", "pending"), current], record: { ...known, ...inSet({}) } },
        false,
        [],
      ],
      [
        "without a journal every candidate",
        { ...lost, tried: [tried("v3", "pending", "refused"), current] },
        false,
        [["v3", "foreign", now]],
      ],
      ["a candidate at rest", { tried: [tried("v9", "pending"), current] }, false, [["v9", "foreign", now]]],
      [
        "an old value beside a candidate, each for its own reason",
        { tried: [tried("v9", "pending"), tried("v0")] },
        false,
        [
          ["v9", "foreign", now],
          ["v0", "retired", now],
        ],
      ],
      [
        "not what nobody can tell of, where there is a journal to believe",
        { tried: [current, tried("v0", undefined, "unknown")] },
        false,
        [],
      ],
      [
        "nothing of a rotation in a journal that is behind",
        {
          tried: [current],
          marks: [marked("v2", { seen: 99 })],
          record: { ...known, ...inSet({ previous: mark("v0") }) },
        },
        true,
        [],
      ],
      ["what works again", { tried: [current, tried("v0")] }, false, [["v0", "retired", now]]],
      [
        "what works again and has leaked",
        { tried: [current, tried("v0")], record: { ...known, compromised: leaked("v0") } },
        true,
        [["v0", "leaked", now]],
      ],
      [
        "a stray login, by its rotation",
        { tried: [current], marks: [marked("v2"), marked("v0")] },
        false,
        [["v0", "retired", now]],
      ],
      [
        "without a journal what is older, but for the one that gets its grace",
        {
          ...lost,
          tried: [
            current,
            tried("v1", "previous"),
            tried("v0"),
            tried("v8", undefined, "unknown"),
            tried("v9", undefined, "refused"),
          ],
        },
        false,
        [
          ["v0", "retired", now],
          ["v8", "retired", now],
        ],
      ],
      [
        "once it is replaced also the one before, after readers had the time to read",
        { ...lost, tried: [current, tried("v1", "previous")] },
        true,
        [["v1", "retired", later]],
      ],
      [
        "not what is current, in whichever version",
        {
          ...lost,
          tried: [current, { ...tried("v0"), fingerprint: current.fingerprint, verdict: "unknown" }],
        },
        false,
        [],
      ],
      [
        "whatever a rotation that is given up leaves",
        {
          tried: [current],
          record: { ...known, ...inSet({ previous: mark("v0"), pending: mark("v3"), restores: mark("v1") }) },
        },
        true,
        [
          ["v0", "retired", later],
          ["v3", "retired", later],
          ["v1", "retired", later],
        ],
      ],
      [
        "nothing of a rotation that goes on",
        { tried: [current], record: { ...known, ...inSet({ previous: mark("v0") }) } },
        false,
        [],
      ],
      ["nothing of no rotation", { tried: [current] }, true, []],
      [
        "not a candidate that works, where it is to be the next",
        { ...lost, tried: [tried("v3", "pending"), current] },
        true,
        [],
      ],
      [
        "such a candidate, where nothing is replaced",
        { ...lost, tried: [tried("v3", "pending"), current] },
        false,
        [["v3", "foreign", now]],
      ],
    ],
  )("is %s", (_, changes, isReplacing, debts) => {
    expect(owes(changes, isReplacing)).toEqual(debts);
  });

  test.each([
    [1_000, 9_000, 9_000],
    [9_000, 1_000, 9_000],
  ])(
    "is spared for a grace of %i ms and a cache of %i ms until both have passed",
    (graceAtLeastMs, cacheTtlMs, after) => {
      const policy = { ...around.policy, graceAtLeastMs, cacheTtlMs };
      expect(owes({ tried: [current, tried("v0")] }, true, policy)).toEqual([["v0", "retired", now + after]]);
    },
  );
});
