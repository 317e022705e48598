import { describe, expect, test } from "vitest";
import { defaultTestPolicy, memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { seal } from "./audit.ts";
import {
  chained,
  debt,
  lost,
  marked,
  now,
  print,
  record,
  recorded,
  rotation,
  seen,
  stored,
  tried,
} from "./examination.contract.ts";
import type { Examination } from "./examine.ts";
import { newRecord, type RotationRecord, type State } from "./record.ts";
import { rebuilt, repair } from "./repair.ts";
import { Secret } from "./secret.ts";
import { begin, type Surroundings } from "./transition.ts";

const policy = defaultTestPolicy;
const around: Surroundings = { policy, overlap: "both-live", now, newId: "new" };
const by = "doctor";
const tries = { attempts: 0, notBefore: now };

/** What the record was, at the next epoch. */
const raised = (changes: Partial<RotationRecord> = {}): RotationRecord => recorded({ epoch: 8, ...changes });
/** What is made of it where a successor begins. */
const successor = (of: RotationRecord, urgent: boolean) =>
  begin({ ...of, urgentNotBefore: 0 }, { kind: "rotate", urgent, requestedBy: by }, around);
const published = (of: RotationRecord, version = "v2"): RotationRecord => ({
  ...of,
  state: {
    phase: "test",
    rotation: {
      id: version,
      kind: "rotate",
      urgent: false,
      requestedBy: by,
      startedAt: now,
      pending: print(version),
      previous: of.current && print(of.current.version),
    },
    ...tries,
  },
});
const again = (of: RotationRecord, version = "v1") =>
  begin(of, { kind: "rollback", urgent: false, requestedBy: by, restores: print(version) }, around);

const current = tried("v1", "current");
const refused = tried("v1", "current", "refused");
const set: State = { phase: "set", rotation: { ...rotation, pending: print("v2") }, ...tries };
const since = now - 500;
const graceFor = now + Math.max(policy.graceAtLeastMs, policy.cacheTtlMs);
const empty = chained({ end: { sequence: 0, hash: "" }, epoch: 0 });
const made: RotationRecord = {
  ...newRecord("app/db"),
  epoch: 8,
  current: { ...print("v1"), since: now - 50 },
  audit: { sequence: 9, hash: "hash 9" },
};
const leak = { version: "v1", reportedBy: "eve", at: 4 };
/** The record expects nine entries, and there are ten; its epoch is not behind. */
const behind = chained({ end: { sequence: 10, hash: "hash 10" } });
const caughtUp = { audit: { sequence: 10, hash: "hash 10" } };

const table: Readonly<Record<string, readonly [Partial<Examination>, RotationRecord]>> = {
  "that is lost is made anew, at rest": [lost, { ...made, state: { phase: "idle" } }],
  "that is lost is made anew, and begins where nothing is known": [
    { ...lost, ...empty, marks: undefined },
    { ...made, epoch: 1, audit: { sequence: 0, hash: "" } },
  ],
  "knows again by the values which versions hold one login": [
    {
      tried: [
        current,
        tried("v0", undefined, "refused", { fingerprint: "print of v1" }),
        tried("v8", undefined, "refused", { login: "login in v1" }),
        tried("v9", undefined, "refused"),
      ],
    },
    raised({
      sameLogin: [
        ["v1", "v0"],
        ["v1", "v8"],
      ],
    }),
  ],
  "takes nothing for refused that works again": [
    {
      record: recorded({ refused: ["v0", "v1", "v9"] }),
      tried: [current, tried("v0", undefined, "refused")],
    },
    raised({ refused: ["v0", "v9"] }),
  ],
  "is above every epoch: the target's": [{ marks: [marked("v1", { seen: 20 })] }, raised({ epoch: 21 })],
  "is above every epoch: the audit's": [chained({ epoch: 30 }), raised({ epoch: 31 })],
  "is above every epoch, but not another installation's": [
    { marks: [marked("v1"), marked("v0", { seen: 20, installation: "another" })] },
    raised(),
  ],
  "keeps what the journal says where it is as good as the rest": [
    { record: recorded({ state: set, holds: [{ by: "x", reason: "y", at: 1, until: 2 }] }) },
    raised({ state: set, holds: [{ by: "x", reason: "y", at: 1, until: 2 }] }),
  ],
  "lets schedules begin again": [
    { record: recorded({ scheduleFailures: 4, scheduleNotBefore: now + 9 }) },
    raised({ scheduleFailures: 0, scheduleNotBefore: 0 }),
  ],
  "knows what the audit says has leaked, once": [
    {
      record: recorded({ compromised: [{ version: "v0", reportedBy: "bob", at: 1 }] }),
      ...chained({
        compromised: [
          { version: "v0", reportedBy: "eve", at: 4 },
          { version: "v9", reportedBy: "eve", at: 4 },
        ],
      }),
    },
    raised({
      compromised: [
        { version: "v0", reportedBy: "bob", at: 1 },
        { version: "v9", reportedBy: "eve", at: 4 },
      ],
    }),
  ],
  "no longer owes what is current": [
    { record: recorded({ debts: [debt("v1"), debt("v0")] }) },
    raised({ debts: [debt("v0")] }),
  ],
  "nor what is current by another name": [
    {
      record: recorded({ debts: [debt("v0"), debt("v9")] }),
      tried: [current, tried("v0", undefined, "refused", { login: "login in v1" })],
    },
    raised({ debts: [debt("v9")], sameLogin: [["v1", "v0"]] }),
  ],
  "goes on owing a current that has leaked": [
    {
      record: recorded({
        debts: [debt("v1", { reason: "leaked" })],
        compromised: [{ ...leak, ...print("v1") }],
      }),
    },
    raised({ debts: [debt("v1", { reason: "leaked" })], compromised: [{ ...leak, ...print("v1") }] }),
  ],
  "takes over what is current in the store, since it was made": [
    {
      record: recorded({ current: { ...print("v0"), since } }),
      versions: [stored("v1", "current"), stored("v0")],
    },
    raised({ current: { ...print("v1"), since: now - 50 } }),
  ],
  "that is old is let go of, and an older value that works gets its grace": [
    { ...behind, record: recorded({ state: set }), tried: [current, tried("v0", undefined)] },
    raised({
      ...caughtUp,
      state: {
        phase: "grace",
        rotation: {
          id: "v1",
          kind: "rotate",
          urgent: false,
          requestedBy: by,
          startedAt: now,
          pending: print("v1"),
          previous: print("v0"),
        },
        since: now,
        confirmAt: now + policy.confirmEveryMs,
        refusals: 0,
        adopted: false,
        laggardsNamed: false,
        ...tries,
      },
    }),
  ],
  "that is old is let go of, and rests": [
    { ...behind, record: recorded({ state: set }) },
    raised({ ...caughtUp, state: { phase: "idle" } }),
  ],
  "goes on where nobody knows whether current works": [
    { record: recorded({ state: set }), tried: [tried("v1", "current", "unknown")] },
    raised({ state: set }),
  ],
};

test.each(Object.entries(table))("a record %s", (_, [changes, expected]) => {
  const { record: whole, notes, events } = rebuilt(seen(changes), by, around);
  expect(whole).toEqual(expected);
  expect(events).toEqual([]);
  expect(notes).toEqual([{ action: "repaired", detail: expect.any(String), actor: by }]);
});

const replaced: Readonly<Record<string, readonly [Partial<Examination>, ReturnType<typeof begin>]>> = {
  "a current that is refused is set again": [{ tried: [refused] }, again(raised())],
  "a current that is refused, and was cut, gets a successor, and is known as leaked": [
    { tried: [refused], marks: [marked("v1", { verb: "retire", accepts: false })] },
    successor(raised({ compromised: [{ ...print("v1"), reportedBy: by, at: now, refusedAt: now }] }), true),
  ],
  "a current that is refused, and has leaked, gets a successor": [
    {
      tried: [refused],
      record: recorded({ state: { phase: "idle" }, compromised: [{ ...leak, ...print("v1") }] }),
    },
    successor(raised({ compromised: [{ ...leak, ...print("v1") }] }), true),
  ],
  "a current that is missing gets a successor": [
    { versions: [stored("v1")], tried: [tried("v1", undefined, "refused")] },
    successor(raised({ current: undefined }), true),
  ],
  "a current that does not wait gets a successor although others had to": [
    { versions: [], tried: [], record: recorded({ urgentNotBefore: now + 900, urgentAttempts: 2 }) },
    successor(raised({ current: undefined, urgentAttempts: 2 }), true),
  ],
  "a store that is behind, whose current works, gets one with a grace": [
    { versions: [stored("v0", "current")], tried: [tried("v0", "current")], marks: [marked("v0")] },
    successor(raised({ current: { ...print("v0"), since: now - 50 } }), false),
  ],
  "a store that is behind, whose current does not, gets one at once": [
    { versions: [stored("v0", "current")], tried: [tried("v0", "current", "refused")], marks: [] },
    successor(raised({ current: { ...print("v0"), since: now - 50 } }), true),
  ],
  "a store that is behind, whose current may not work, gets one at once": [
    { versions: [stored("v0", "current")], tried: [tried("v0", "current", "unknown")], marks: [] },
    successor(raised({ current: { ...print("v0"), since: now - 50 } }), true),
  ],
};

test.each(Object.entries(replaced))("%s", (_, [changes, expected]) => {
  const { record: whole, notes, events } = rebuilt(seen(changes), by, around);
  expect(whole).toEqual(expected.record);
  expect(events).toEqual([]);
  expect(notes).toEqual([expect.objectContaining({ action: "repaired", actor: by }), ...expected.notes]);
});

describe("a candidate that works is published", () => {
  const pending = tried("v2", "pending");
  const versions = [stored("v2", "pending"), stored("v1", "current")];
  const marks = [marked("v1", { accepts: false }), marked("v2")];

  test("where current is refused", () => {
    const { record: whole } = rebuilt(seen({ versions, marks, tried: [pending, refused] }), by, around);
    expect(whole).toEqual(published(raised()));
  });

  test("by the rotation that saved it, where one has", () => {
    const saved = { ...rotation, kind: "rollback" as const, restores: print("v0"), cutSince: 8 };
    const state: State = { phase: "finish", rotation: saved, attempts: 9, notBefore: now + 99 };
    const examination = seen({ versions, marks, tried: [pending, refused], record: recorded({ state }) });
    expect(rebuilt(examination, by, around).record.state).toEqual({
      phase: "test",
      rotation: { ...saved, pending: print("v2"), previous: print("v1") },
      ...tries,
    });
  });

  test("but not by another rotation", () => {
    const state: State = { phase: "finish", rotation: { ...rotation, id: "v9", urgent: true }, ...tries };
    const examination = seen({ versions, marks, tried: [pending, refused], record: recorded({ state }) });
    expect(rebuilt(examination, by, around).record.state).toEqual(published(raised()).state);
  });

  test.each([
    ["by its own name", "v2", {}],
    ["by another", "v3", { sameLogin: [["v2", "v3"]] satisfies [[string, string]] }],
  ])("and no longer owed by an old record, %s", (_, owed, known) => {
    const old = recorded({ debts: [debt(owed, { reason: "foreign" }), debt("v0")], ...known });
    const examination = seen({ ...behind, versions, marks, tried: [pending, refused], record: old });
    const { state, debts } = rebuilt(examination, by, around).record;
    expect(state.phase).toBe("test");
    expect(debts).toEqual([debt("v0")]);
  });

  test("where the store is behind", () => {
    const older = [tried("v1", "pending"), tried("v0", "current")];
    const examination = seen({ versions: [stored("v1", "pending"), stored("v0", "current")], tried: older });
    const { record: whole } = rebuilt(examination, by, around);
    const previous = raised({ current: { ...print("v0"), since: now - 50 } });
    expect(whole.state).toEqual(published(previous, "v1").state);
    expect(whole.debts).toEqual([]);
  });

  test("where the store is behind, and has no current", () => {
    const examination = seen({ versions: [stored("v1", "pending")], tried: [tried("v1", "pending")] });
    const { record: whole } = rebuilt(examination, by, around);
    expect(whole.state).toMatchObject({ phase: "test", rotation: { id: "v1", previous: undefined } });
  });

  test("but not where current works: it is owed at once", () => {
    const { record: whole } = rebuilt(seen({ versions, tried: [pending, current] }), by, around);
    expect(whole.state).toEqual({ phase: "idle" });
    expect(whole.debts).toEqual([debt("v2", { reason: "foreign", since: now, notBefore: now })]);
  });
});

describe("what a rotation that is given up leaves is owed", () => {
  const inGrace: State = { ...set, rotation: { ...rotation, pending: print("v1"), previous: print("v0") } };
  const owed = debt("v0", { since: now, notBefore: graceFor });
  test.each<[string, Partial<Examination>]>([
    ["current is refused", { tried: [refused] }],
    ["the store is behind", { versions: [stored("v9", "current")], tried: [tried("v9", "current")] }],
    ["current is missing", { versions: [stored("v1")], tried: [] }],
  ])("with the time that readers need, where %s", (_, changes) => {
    const examination = seen({ ...changes, record: recorded({ state: inGrace }) });
    expect(rebuilt(examination, by, around).record.debts).toContainEqual(owed);
  });

  test("not where it goes on", () => {
    const examination = seen({ record: recorded({ state: inGrace, paused: { by, reason: "x", at: 1 } }) });
    expect(rebuilt(examination, by, around).record.debts).toEqual([]);
  });
});

describe("the audit", () => {
  const words = { ref: "app/db", at: 3, actor: "worker", action: "set.done", epoch: 7, detail: "" };
  const waiting = seal(words, { sequence: 8, hash: "hash 8" });
  const written = seal({ ...words, action: "test.done" }, waiting);
  const outbox = { entries: [waiting, written], events: [], attempts: 3 };
  const known = recorded({ outbox, audit: { sequence: 10, hash: written.hash } });
  const auditIn = (changes: Partial<Examination["chain"]>) => {
    const examination = seen({ record: known, ...chained(changes) });
    const { audit, outbox: kept } = rebuilt(examination, by, around).record;
    return { audit, outbox: kept };
  };

  test.each<[string, Partial<Examination["chain"]>]>([
    ["lacks what waits", { end: { sequence: 8, hash: "hash 8" }, unwritten: [waiting, written] }],
    ["has all", { end: { sequence: 10, hash: written.hash } }],
    ["is changed", { fault: { kind: "changed", sequence: 4 }, end: { sequence: 3, hash: "x" } }],
  ])("stays as it is where it %s", (_, changes) => {
    expect(auditIn(changes)).toEqual({ audit: known.audit, outbox });
  });

  test.each<[string, Partial<Examination["chain"]>]>([
    ["knows more", { end: { sequence: 20, hash: "hash 20" }, unwritten: [written] }],
    ["has parted", { end: { sequence: 10, hash: "hash 20" }, isForked: true, unwritten: [written] }],
    [
      "was cut off",
      {
        end: { sequence: 2, hash: "hash 20" },
        fault: { kind: "cut-off", sequence: 2 },
        unwritten: [written],
      },
    ],
  ])("goes on behind its end with what was not written, where it %s", (_, changes) => {
    const { ref, at, actor, action, epoch, version, detail } = written;
    const end = { sequence: changes.end?.sequence ?? 0, hash: "hash 20" };
    const entry = seal({ ref, at, actor, action, epoch, version, detail }, end);
    expect(auditIn(changes)).toEqual({
      audit: { sequence: entry.sequence, hash: entry.hash },
      outbox: { ...outbox, entries: [entry] },
    });
  });

  test("is told all that was mended, and nothing that was not", () => {
    const told = (changes: Partial<Examination>) =>
      rebuilt(seen({ ...lost, tried: [tried("v1", "current", "refused")], ...changes }), by, around).notes[0];
    const journal =
      "journal-lost: the journal knows nothing of it, and yet it was rotated before: was the journal lost?";
    const current =
      "current-refused: the target refuses current: its password was changed behind Keyturn's back";
    expect(told({})?.detail).toBe(`${journal}; ${current}`);
    // As long as something is not ready, current cannot be mended.
    expect(told({ findings: [{ check: "rights", ok: false, message: "none" }] })?.detail).toBe(journal);
  });
});

test("the record that was seen is not touched", () => {
  const before = structuredClone(record);
  rebuilt(seen({ tried: [refused] }), by, around);
  expect(record).toEqual(before);
});

describe("a repair", () => {
  const password = "q9Xv2LmT8rZk4WcN";
  const value = new Secret(JSON.stringify({ username: "app_a", password }));

  async function world() {
    const { ports, clock } = memoryPorts(modelTarget().bothLive);
    await ports.store.savePending("app/db", "v1", value);
    await ports.store.promote("app/db", "v1", undefined);
    const prints = ports.fingerprinter.candidates(password);
    return { ports, clock, found: () => ports.journal.identify(prints) };
  }

  test("of a secret that is well, or that a person has to look at, changes nothing", async () => {
    const { ports, found } = await world();
    const person = seen({
      record: recorded({ paused: { by: "ann", reason: "look", at: 1 } }),
      revision: undefined,
    });
    for (const examination of [seen({ revision: undefined }), person]) {
      expect(await repair(examination, ports, by)).toBeUndefined();
    }
    expect(await ports.journal.load("app/db")).toBeUndefined();
    expect(await found()).toEqual([]);
  });

  test("saves the record as it should be, due now, and says who did it", async () => {
    const { ports, clock } = await world();
    const fixed = await repair(seen({ ...lost, tried: [current] }), ports, by);
    expect(fixed).toMatchObject({ epoch: 8, dueAt: clock.now(), state: { phase: "idle" } });
    expect(fixed?.outbox.entries).toMatchObject([{ actor: by, action: "repaired", sequence: 10, epoch: 8 }]);
    expect((await ports.journal.load("app/db"))?.record).toEqual(JSON.parse(JSON.stringify(fixed)));
  });

  test("takes the lease from whoever has it, at the revision that was seen and no other", async () => {
    const { ports, clock } = await world();
    const lease = { holder: "worker", until: clock.now() + 9_000 };
    const revision = await ports.journal.save(recorded({ lease }), undefined);
    const examination = seen({ record: recorded({ lease }), tried: [refused], revision });
    const fixed = await repair(examination, ports, by);
    expect(fixed?.lease).toBeUndefined();
    expect(fixed?.state).toMatchObject({
      phase: "create",
      rotation: { kind: "rollback", id: expect.stringMatching(/^[0-9a-f-]{36}$/), startedAt: clock.now() },
    });
    await expect(repair(examination, ports, by)).rejects.toMatchObject({ code: "conflict" });
  });

  test("goes by the policy of the secret", async () => {
    const state: State = { ...set, attempts: policy.attemptsMax };
    const versions = [stored("v2", "pending"), stored("v1", "current")];
    const one = { overlap: "cutover" as const, versions, tried: [refused], revision: undefined };
    for (const [attempts, expected] of [
      [policy.attemptsMax - 1, undefined],
      [policy.attemptsMax, expect.anything()],
    ]) {
      const { ports } = await world();
      const known = recorded({ state: { ...state, attempts: Number(attempts) } });
      expect(await repair(seen({ ...one, record: known }), ports, by)).toEqual(expected);
    }
  });

  test("remembers the fingerprints of what can be read, and passes over what is gone", async () => {
    const { ports, found } = await world();
    await repair(seen({ ...lost, tried: [tried("v9", undefined), current] }), ports, by);
    expect(await found()).toEqual([{ ref: "app/db", version: "v1", field: "password" }]);
  });
});
