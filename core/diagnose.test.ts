import { describe, expect, test } from "vitest";
import { type Diagnosis, diagnose, needsRebuild } from "./diagnose.ts";
import { KeyturnError } from "./errors.ts";
import {
  chained,
  debt,
  lost,
  marked,
  print,
  record,
  recorded,
  rotation,
  seen,
  stored,
  tried,
} from "./examination.contract.ts";
import type { Examination } from "./examine.ts";
import type { Rotation, State } from "./record.ts";

const attemptsMax = 3;
const tries = { attempts: 0, notBefore: 0 };
const runIt = "Run it with --fix.";
const rebuilds = "puts the record right by what the store, the target and the audit say, at a higher epoch";
const owesAgain = "owes it again, until it is proven refused";
const askFirst = "First let the target be asked; then run it with --fix.";
const unasked = new KeyturnError("unreachable", "cut off");
const unreachable: Diagnosis = {
  ailment: "unreachable",
  what: "the target cannot be asked: unreachable: cut off",
  fix: undefined,
  advice: unasked.remedy,
};
const refused = (changes: Partial<Examination> = {}) =>
  seen({ tried: [tried("v1", "current", "refused")], ...changes });
const lostJournal: Diagnosis = {
  ailment: "journal-lost",
  what: "the journal knows nothing of it, and yet it was rotated before: was the journal lost?",
  fix: rebuilds,
  advice: runIt,
};
const behind = (why: string): Diagnosis => ({
  ailment: "epoch-behind",
  what: `${why}: was the journal restored from a backup?`,
  fix: rebuilds,
  advice: runIt,
});
const storeBehind = (fix: string): Diagnosis => ({
  ailment: "store-behind",
  what: "the store does not have v1 as current, as the journal says: was the store restored from a backup?",
  fix,
  advice: runIt,
});
const currentRefused = (cause: string, fix = "makes the target accept the same value again"): Diagnosis => ({
  ailment: "current-refused",
  what: `the target refuses current: ${cause}`,
  fix,
  advice:
    fix === successor
      ? runIt
      : "If nobody of yours did this, somebody else has access to the target: revoke it instead. Otherwise run it with --fix.",
});
const successor = "makes a successor at once; what was cut on purpose stays cut";
const publishes = "publishes the candidate, which the target accepts";
const makesNew = "makes a new one at once";
const holdsAnother =
  "the login holds another value: was the target restored from a backup, or a replica promoted?";
const foreignPending: Diagnosis = {
  ailment: "foreign-pending",
  what: "v2 is pending in the store, and no rotation of this journal has saved it",
  fix: "owes it, and takes it away once the target is proven to refuse it",
  advice: "Run it with --fix, or rotate: the next rotation does the same.",
};
const ours = { marks: [marked("v1"), marked("v2")] };
const candidate = tried("v2", "pending");

const table: Readonly<Record<string, readonly [Examination, readonly Diagnosis[]]>> = {
  "nothing of a secret that is well": [seen({}), []],
  "nothing of one that was never rotated": [
    seen({ ...lost, ...chained({ end: { sequence: 0, hash: "" } }), marks: [] }),
    [],
  ],
  "nothing of one of which nothing is left but the audit": [
    seen({ ...lost, versions: [], tried: [], marks: [] }),
    [],
  ],
  "a journal that was lost, by the audit": [seen({ ...lost, marks: [] }), [lostJournal]],
  "a journal that was lost, by the target": [
    seen({ ...lost, ...chained({ end: { sequence: 0, hash: "" } }) }),
    [lostJournal],
  ],
  "a journal that is damaged": [
    seen({ ...lost, recordFault: new KeyturnError("data-broken", "row 3") }),
    [
      {
        ailment: "record-unreadable",
        what: "the journal does not give its record: row 3",
        fix: undefined,
        advice: "Move the damaged journal aside, and let --fix make it anew from the store and the target.",
      },
    ],
  ],
  "a journal that a newer Keyturn has written": [
    seen({ ...lost, recordFault: new KeyturnError("schema-newer", "schema 2") }),
    [
      {
        ailment: "record-unreadable",
        what: "the journal does not give its record: schema 2",
        fix: undefined,
        advice: new KeyturnError("schema-newer", "").remedy,
      },
    ],
  ],
  "an older journal, by the target": [
    seen({ marks: [marked("v1", { seen: 8 })] }),
    [behind("the target has seen epoch 8, and the journal is at 7")],
  ],
  "an older journal, by the audit": [
    seen(chained({ end: { sequence: 10, hash: "hash 10" } })),
    [behind("the audit has 10 entries, and the journal knows of 9")],
  ],
  "a login that another secret marks": [
    seen({ marks: [marked("v1"), marked("v0", { ref: "app/other" })] }),
    [
      {
        ailment: "other-installation",
        what: "login_of_v0 is marked by secret app/other of installation test; this is test",
        fix: undefined,
        advice:
          "Two installations claim one login. Take the secret out of the manifest of the one that is not to have it, or give each a login of its own. To hand it over, take the mark of Keyturn off login_of_v0 at the target, and `keyturn import app/db` in the one that is to have it.",
      },
    ],
  ],
  "a login that another installation marks": [
    seen({ marks: [marked("v1"), marked("v0", { installation: "another", accepts: false })] }),
    [
      {
        ailment: "other-installation",
        what: "login_of_v0 is marked by secret app/db of installation another; this is test",
        fix: undefined,
        advice: expect.stringContaining("To hand it over, remove login_of_v0, which is shut, at the target"),
      },
    ],
  ],
  "an older store": [
    seen({ versions: [stored("v0", "current")], tried: [tried("v0", "current", "refused")] }),
    [storeBehind(makesNew)],
  ],
  "an older store that has the live value as its candidate": [
    seen({
      versions: [stored("v1", "pending"), stored("v0", "current")],
      tried: [tried("v1", "pending"), tried("v0", "current", "refused")],
    }),
    [
      storeBehind(publishes),
      {
        ...foreignPending,
        what: "v1 is pending in the store, and no rotation of this journal has saved it",
      },
    ],
  ],
  "a store without current": [
    seen({ versions: [stored("v1")], tried: [tried("v1", undefined)] }),
    [
      {
        ailment: "current-missing",
        what: "the store has no current version any more",
        fix: makesNew,
        advice: runIt,
      },
    ],
  ],
  "nothing of a store without current that never had one": [
    seen({ record: recorded({ current: undefined }), versions: [], tried: [], marks: [] }),
    [],
  ],
  "nothing of a current that could not be read": [
    seen({ versions: [stored("v1", "current"), stored("v0")], tried: [], marks: [] }),
    [],
  ],
  "a target that gives no clear answer": [
    seen({ tried: [tried("v1", "current", "unknown")] }),
    [
      {
        ailment: "current-unclear",
        what: "the target gives no clear answer to the current credential",
        fix: undefined,
        advice: "Look at the target; then ask again.",
      },
    ],
  ],
  "that it was not asked, rather than that it gave no answer": [
    seen({ tried: [tried("v1", "current", "unknown")], unasked }),
    [unreachable],
  ],
  "a current that was changed where no fence is kept": [
    refused({ marks: undefined }),
    [currentRefused("it was changed behind Keyturn's back")],
  ],
  "a current that is refused, while nobody can see its login": [
    refused({ marks: undefined, unasked }),
    [
      {
        ...currentRefused("what became of its login could not be seen"),
        fix: undefined,
        advice: askFirst,
      },
      unreachable,
    ],
  ],
  "a login that was dropped": [
    refused({ marks: [] }),
    [currentRefused("its login is not there, or bears no mark: was it dropped?")],
  ],
  "a login that holds another value": [
    refused({ marks: [marked("v0", { accepts: false })] }),
    [currentRefused(holdsAnother)],
  ],
  "a login that holds a value which nobody can read": [
    refused({ marks: [marked("v0")] }),
    [
      currentRefused(holdsAnother),
      {
        ailment: "revived",
        what: "the target lets in login_of_v0 by what was v0, and nobody should be using it: was the target or the store restored from a backup, or the login opened by hand?",
        fix: owesAgain,
        advice: runIt,
      },
    ],
  ],
  "a password that was changed": [
    refused(),
    [currentRefused("its password was changed behind Keyturn's back")],
  ],
  "a login that was shut": [
    refused({ marks: [marked("v1", { accepts: false })] }),
    [currentRefused("its login was shut behind Keyturn's back")],
  ],
  "a login that was cut": [
    refused({ marks: [marked("v1", { verb: "retire", accepts: false })] }),
    [currentRefused("it was cut off on purpose", successor)],
  ],
  "a refused current, and a candidate that works": [
    refused({
      ...ours,
      versions: [stored("v2", "pending"), stored("v1", "current")],
      tried: [candidate, tried("v1", "current", "refused")],
      record: recorded({ state: { phase: "test", rotation, ...tries } }),
    }),
    [currentRefused("its password was changed behind Keyturn's back", publishes)],
  ],
  "a refused current before anything else, where it has leaked and nobody does anything": [
    refused({
      record: recorded({ state: halted(), compromised: [{ ...print("v1"), reportedBy: "x", at: 1 }] }),
    }),
    [currentRefused("its password was changed behind Keyturn's back", successor), expect.anything()],
  ],
  "nothing of a refused current that has leaked and is being succeeded": [
    refused({ record: recorded({ compromised: [{ ...print("v1"), reportedBy: "x", at: 1 }] }) }),
    [],
  ],
  "an old version that works again": [
    seen({ tried: [tried("v1", "current"), tried("v0", undefined)] }),
    [
      {
        ailment: "revived",
        what: "the target accepts v0, which nobody should be using: was the target restored from a backup?",
        fix: owesAgain,
        advice: runIt,
      },
    ],
  ],
  "a candidate that nobody knows": [
    seen({ tried: [tried("v1", "current"), tried("v2", "pending", "refused")] }),
    [foreignPending],
  ],
  "nothing of a candidate where no journal could know it, but that the journal is lost": [
    seen({ ...lost, tried: [tried("v1", "current"), candidate] }),
    [lostJournal],
  ],
  "a rotation that was halted": [
    seen({ record: recorded({ state: halted() }) }),
    [
      {
        ailment: "halted",
        what: "halted in set: superseded: epoch 9 was there",
        fix: undefined,
        advice:
          "Remove the cause; then `keyturn resume app/db`, or before it is published `keyturn cancel --insist app/db`.",
      },
    ],
  ],
  "a secret that is paused": [
    seen({ record: recorded({ paused: { by: "ann", reason: "a migration", at: 3 } }) }),
    [
      {
        ailment: "paused",
        what: "paused by ann: a migration",
        fix: undefined,
        advice: "`keyturn resume app/db` when it may go on.",
      },
    ],
  ],
  "a debt that cannot be paid, and not the one that may still be": [
    seen({
      record: recorded({
        debts: [debt("v0", { attempts: 3, reason: "leaked" }), debt("v00", { attempts: 2 })],
      }),
    }),
    [
      {
        ailment: "debt-unpaid",
        what: "v0 should be refused (leaked), and after 3 tries is not proven so",
        fix: undefined,
        advice: "Remove what the last failure names (`keyturn status app/db`); then `keyturn retire app/db`.",
      },
    ],
  ],
  "an audit that was changed": [
    seen(chained({ fault: { kind: "changed", sequence: 4 } })),
    [
      {
        ailment: "audit-broken",
        what: "the audit is broken: changed at entry 4",
        fix: undefined,
        advice: "Keep the file as evidence, and restore it from a backup.",
      },
    ],
  ],
  "an audit that was cut off": [
    seen(chained({ fault: { kind: "cut-off", sequence: 4 } })),
    [
      {
        ailment: "audit-broken",
        what: "the audit is broken: cut-off at entry 4",
        fix: "goes on behind the last entry that is left, and says there what is missing",
        advice: "Keep the file as evidence, and restore it from a backup. Or run it with --fix.",
      },
    ],
  ],
  "what would refuse the next rotation, but no newer epoch": [
    seen({
      findings: [
        { check: "rights", ok: false, message: "no CREATEROLE" },
        { check: "fence", ok: false, message: "epoch 9", code: "superseded" },
        { check: "tls", ok: true, message: "verified" },
        { check: "grant", ok: false, message: "no ADMIN", code: "admin-lacks-rights" },
      ],
    }),
    [
      {
        ailment: "not-ready",
        what: "rights: no CREATEROLE",
        fix: undefined,
        advice: "Correct it at the target or in the manifest. The next rotation is refused until then.",
      },
      {
        ailment: "not-ready",
        what: "grant: no ADMIN",
        fix: undefined,
        advice:
          "Grant what the message names; `keyturn init` prints the SQL. The next rotation is refused until then.",
      },
    ],
  ],
  "that the target cannot be asked, and then mends nothing": [
    seen({
      ...lost,
      ...chained({ fault: { kind: "changed", sequence: 4 } }),
      marks: undefined,
      tried: [],
      unasked,
    }),
    [
      { ...lostJournal, fix: undefined, advice: askFirst },
      {
        ailment: "audit-broken",
        what: "the audit is broken: changed at entry 4",
        fix: undefined,
        advice: "Keep the file as evidence, and restore it from a backup.",
      },
      unreachable,
    ],
  ],
};

function halted(changes: Partial<Rotation> = {}): State {
  const what = { code: "superseded", reason: "epoch 9 was there", at: 3 };
  return { phase: "halted", rotation: { ...rotation, ...changes }, from: "set", ...what };
}

test.each(Object.entries(table))("says %s", (_, [examination, expected]) => {
  expect(diagnose(examination, attemptsMax)).toEqual(expected);
});

test("the worst comes first", () => {
  const said = diagnose(
    refused({
      marks: [marked("v1", { seen: 8 }), marked("v0", { installation: "another" })],
      tried: [tried("v1", "current", "refused"), tried("v2", "pending", "refused")],
      record: recorded({ paused: { by: "ann", reason: "look", at: 1 } }),
      findings: [{ check: "rights", ok: false, message: "none" }],
    }),
    attemptsMax,
  );
  expect(said.map(({ ailment }) => ailment)).toEqual([
    "other-installation",
    "epoch-behind",
    "current-refused",
    "foreign-pending",
    "paused",
    "not-ready",
  ]);
});

describe("a candidate is seen to", () => {
  const pending = [tried("v1", "current"), tried("v2", "pending", "refused")];
  test.each<[string, Examination["record"]]>([
    ["by the rotation that saved it", recorded({ state: { phase: "set", rotation, ...tries } })],
    [
      "by a rotation that saves one",
      recorded({ state: { phase: "create", rotation: { ...rotation, id: "v9" }, ...tries } }),
    ],
    ["by a halted rotation that saved it", recorded({ state: halted(), paused: undefined })],
    ["by what is owed", recorded({ debts: [debt("v2")] })],
    ["by an import that has not ended", recorded({ importing: ["v9", "v2"] })],
  ])("%s", (_, known) => {
    const said = diagnose(seen({ record: known, tried: pending }), attemptsMax);
    expect(said.map(({ ailment }) => ailment)).not.toContain("foreign-pending");
  });

  test.each<[string, Examination["record"]]>([
    [
      "by another rotation",
      recorded({ state: { phase: "set", rotation: { ...rotation, id: "v9" }, ...tries } }),
    ],
    ["by what else is owed", recorded({ debts: [debt("v0")] })],
    ["by an import of another version", recorded({ importing: ["v9"] })],
  ])("not %s", (_, known) => {
    expect(diagnose(seen({ record: known, tried: pending }), attemptsMax)).toEqual([foreignPending]);
  });
});

describe("what refuses current, and goes on by itself, is no ailment", () => {
  const inPhase = (phase: "create" | "set" | "test" | "finish" | "announce", attempts = 0): State => ({
    phase,
    rotation,
    notBefore: 0,
    attempts,
  });
  const undo: State = { phase: "undo", rotation, reason: "x", ...tries };
  const versions = [stored("v2", "pending"), stored("v1", "current")];
  const cutover = (state: State, changes: Partial<Examination> = {}) =>
    diagnose(refused({ overlap: "cutover", versions, record: recorded({ state }), ...changes }), attemptsMax);

  test.each([inPhase("set"), inPhase("test"), inPhase("finish"), undo, inPhase("set", 2)])(
    "of a cutover type in $phase, $attempts tries in",
    (state) => {
      expect(cutover(state)).toEqual([]);
    },
  );

  test.each([inPhase("create"), inPhase("announce"), inPhase("set", 3), { phase: "idle" as const }])(
    "but in $phase, $attempts tries in, it is one",
    (state) => {
      expect(cutover(state)).toEqual([expect.objectContaining({ ailment: "current-refused" })]);
    },
  );

  test("but of a both-live type it is one", () => {
    expect(cutover(inPhase("set"), { overlap: "both-live" })).toHaveLength(1);
  });

  test("but an old record explains nothing, neither a set nor a leak", () => {
    const old = chained({ end: { sequence: 10, hash: "hash 10" } });
    const expected = ["epoch-behind", "current-refused"];
    expect(cutover(inPhase("set"), old).map(({ ailment }) => ailment)).toEqual(expected);
    const leaked = recorded({ compromised: [{ ...print("v1"), reportedBy: "x", at: 1 }] });
    expect(cutover(undo, { ...old, record: leaked }).map(({ ailment }) => ailment)).toEqual(expected);
  });

  test("and no record explains nothing", () => {
    expect(diagnose(refused(lost), attemptsMax).map(({ ailment }) => ailment)).toEqual([
      "journal-lost",
      "current-refused",
    ]);
  });
});

test("a record is rebuilt for what can be mended, however much else is said", () => {
  const [mendable] = diagnose(seen(lost), attemptsMax);
  const [paused] = diagnose(
    seen({ record: { ...record, paused: { by: "ann", reason: "look", at: 1 } } }),
    attemptsMax,
  );
  if (mendable === undefined || paused === undefined) throw new Error("nothing was said");
  expect(needsRebuild([])).toBe(false);
  expect(needsRebuild([paused])).toBe(false);
  expect(needsRebuild([paused, mendable])).toBe(true);
});
