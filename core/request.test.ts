import { describe, expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import {
  newRecord,
  type Phase,
  type Rotation,
  type RotationRecord,
  type State,
  type VersionMark,
} from "./record.ts";
import { answer, type Request } from "./request.ts";
import { owe } from "./transition.ts";

const now = 1_000_000;
const around = { policy: defaultTestPolicy, overlap: "both-live" as const, now, newId: "new" };
const mark = (version: string): VersionMark => ({ version, fingerprint: `print of ${version}` });
const rotation: Rotation = {
  id: "v2",
  kind: "rotate",
  urgent: false,
  requestedBy: "schedule",
  startedAt: 0,
  pending: mark("v2"),
  previous: mark("v1"),
};
const tries = { attempts: 2, notBefore: now + 500 };

const states = {
  idle: { phase: "idle" },
  create: { phase: "create", rotation, ...tries },
  set: { phase: "set", rotation, ...tries },
  test: { phase: "test", rotation, ...tries },
  finish: { phase: "finish", rotation, ...tries },
  announce: { phase: "announce", rotation, ...tries },
  grace: {
    phase: "grace",
    rotation,
    since: now - 10,
    confirmAt: now + 10,
    refusals: 0,
    adopted: false,
    laggardsNamed: false,
    ...tries,
  },
  retire: { phase: "retire", rotation, since: now - 10, forced: false, ...tries },
  undo: { phase: "undo", rotation, reason: "cancelled", ...tries },
  "halted from test": halted("test"),
  "halted from grace": halted("grace"),
} satisfies Record<string, State>;
type StateName = keyof typeof states;

function halted(from: Exclude<Phase, "halted">): State {
  return {
    phase: "halted",
    rotation,
    from,
    code: "fence-conflict",
    reason: "two claim one epoch",
    at: now - 5,
  };
}

/** Before announce v1 is current; from announce on v2 is, with v1 owed once retire has begun. */
function recordIn(name: StateName): RotationRecord {
  const published = ["announce", "grace", "retire", "halted from grace"].includes(name);
  const current = { ...mark(published ? "v2" : "v1"), since: 0 };
  const owed = { reason: "retired", since: 0, cutFirst: false, ...tries } as const;
  return {
    ...newRecord("app/db"),
    epoch: 7,
    current,
    debts: name === "retire" ? [{ ...mark("v1"), ...owed }] : [],
    state: states[name],
    lease: { holder: "somebody", until: now + 60_000 },
  };
}

const requests = {
  rotate: { kind: "rotate", by: "ann" },
  cancel: { kind: "cancel", by: "ann", insist: false },
  "cancel, on purpose": { kind: "cancel", by: "ann", insist: true },
  rollback: { kind: "rollback", by: "ann", insist: false },
  "rollback, on purpose": { kind: "rollback", by: "ann", insist: true },
  resume: { kind: "resume", by: "ann" },
  "v1 leaked": { kind: "emergency", by: "ann", version: mark("v1"), cutFirst: false },
  "v1, to be cut first, leaked": { kind: "emergency", by: "ann", version: mark("v1"), cutFirst: true },
  "v2 leaked": { kind: "emergency", by: "ann", version: mark("v2"), cutFirst: false },
  "v0 leaked": { kind: "emergency", by: "ann", version: mark("v0"), cutFirst: false },
} satisfies Record<string, Request>;

/** answer, the phase after, how far the epoch rises, and the versions owed after. */
type Cell = readonly [answer: string, phase: string, epochs: number, owed: string];
type Row = Readonly<Record<StateName, Cell>>;

const same = (phase: string, kind: string): Cell => [kind, phase, 0, phase === "retire" ? "v1" : ""];

const table: Readonly<Record<keyof typeof requests, Row>> = {
  rotate: {
    idle: ["began", "create", 1, ""],
    create: same("create", "joined"),
    set: same("set", "joined"),
    test: same("test", "joined"),
    finish: same("finish", "joined"),
    announce: same("announce", "joined"),
    grace: same("grace", "waiting"),
    retire: same("retire", "waiting"),
    undo: same("undo", "waiting"),
    "halted from test": same("halted", "refused"),
    "halted from grace": same("halted", "refused"),
  },
  cancel: {
    idle: same("idle", "nothing"),
    create: ["began", "undo", 1, ""],
    set: ["began", "undo", 1, ""],
    test: ["began", "undo", 1, ""],
    finish: same("finish", "refused"),
    announce: same("announce", "refused"),
    grace: same("grace", "refused"),
    retire: same("retire", "refused"),
    undo: same("undo", "nothing"),
    "halted from test": same("halted", "refused"),
    "halted from grace": same("halted", "refused"),
  },
  "cancel, on purpose": {
    idle: same("idle", "nothing"),
    create: ["began", "undo", 1, ""],
    set: ["began", "undo", 1, ""],
    test: ["began", "undo", 1, ""],
    finish: same("finish", "refused"),
    announce: same("announce", "refused"),
    grace: same("grace", "refused"),
    retire: same("retire", "refused"),
    undo: same("undo", "nothing"),
    "halted from test": ["began", "undo", 1, ""],
    "halted from grace": same("halted", "refused"),
  },
  rollback: {
    idle: same("idle", "refused"),
    create: ["began", "undo", 1, ""],
    set: ["began", "undo", 1, ""],
    test: ["began", "undo", 1, ""],
    finish: same("finish", "waiting"),
    announce: same("announce", "waiting"),
    grace: ["began", "create", 1, ""],
    retire: same("retire", "refused"),
    undo: same("undo", "nothing"),
    "halted from test": same("halted", "refused"),
    "halted from grace": same("halted", "refused"),
  },
  "rollback, on purpose": {
    idle: same("idle", "refused"),
    create: ["began", "undo", 1, ""],
    set: ["began", "undo", 1, ""],
    test: ["began", "undo", 1, ""],
    finish: same("finish", "waiting"),
    announce: same("announce", "waiting"),
    grace: ["began", "create", 1, ""],
    retire: same("retire", "refused"),
    undo: same("undo", "nothing"),
    "halted from test": same("halted", "refused"),
    "halted from grace": ["began", "create", 1, ""],
  },
  resume: {
    idle: same("idle", "nothing"),
    create: same("create", "nothing"),
    set: same("set", "nothing"),
    test: same("test", "nothing"),
    finish: same("finish", "nothing"),
    announce: same("announce", "nothing"),
    grace: same("grace", "nothing"),
    retire: same("retire", "nothing"),
    undo: same("undo", "nothing"),
    "halted from test": ["began", "test", 0, ""],
    "halted from grace": ["began", "grace", 0, ""],
  },
  // v1 is current until announce, and previous after it.
  "v1 leaked": {
    idle: ["began", "create", 2, ""],
    create: ["began", "create", 1, ""],
    set: ["began", "set", 1, ""],
    test: ["began", "test", 1, ""],
    finish: ["began", "finish", 1, ""],
    announce: ["began", "announce", 1, ""],
    grace: ["began", "retire", 2, "v1"],
    retire: ["began", "retire", 2, "v1"],
    undo: ["began", "create", 2, "v2"],
    "halted from test": ["began", "create", 2, "v2"],
    "halted from grace": ["began", "halted", 1, "v1"],
  },
  // The same, and owed at once wherever readers have it.
  "v1, to be cut first, leaked": {
    idle: ["began", "create", 2, "v1"],
    create: ["began", "create", 1, "v1"],
    set: ["began", "set", 1, "v1"],
    test: ["began", "test", 1, "v1"],
    finish: ["began", "finish", 1, "v1"],
    announce: ["began", "announce", 1, "v1"],
    grace: ["began", "retire", 2, "v1"],
    retire: ["began", "retire", 2, "v1"],
    undo: ["began", "create", 2, "v1 v2"],
    "halted from test": ["began", "create", 2, "v1 v2"],
    "halted from grace": ["began", "halted", 1, "v1"],
  },
  // v2 is pending until finish, and current after it; in idle nobody knows it.
  "v2 leaked": {
    idle: ["began", "idle", 1, "v2"],
    create: ["began", "undo", 2, ""],
    set: ["began", "undo", 2, ""],
    test: ["began", "undo", 2, ""],
    finish: ["began", "finish", 1, ""],
    announce: ["began", "announce", 1, ""],
    grace: ["began", "create", 2, "v1"],
    retire: ["began", "create", 2, "v1"],
    undo: ["began", "undo", 1, ""],
    "halted from test": ["began", "undo", 2, ""],
    "halted from grace": ["began", "create", 2, "v1"],
  },
  "v0 leaked": {
    idle: ["began", "idle", 1, "v0"],
    create: ["began", "create", 1, "v0"],
    set: ["began", "set", 1, "v0"],
    test: ["began", "test", 1, "v0"],
    finish: ["began", "finish", 1, "v0"],
    announce: ["began", "announce", 1, "v0"],
    grace: ["began", "grace", 1, "v0"],
    retire: ["began", "retire", 1, "v1 v0"],
    undo: ["began", "undo", 1, "v0"],
    "halted from test": ["began", "halted", 1, "v0"],
    "halted from grace": ["began", "halted", 1, "v0"],
  },
};

describe.each(Object.entries(table))("%s", (request, row) => {
  test.each(Object.entries(row))("in %s", (state, [kind, phase, epochs, owed]) => {
    const record = recordIn(state as StateName);
    const answered = answer(record, requests[request as keyof typeof requests], around);
    expect(answered.answer).toBe(kind);
    expect(answered.record.state.phase).toBe(phase);
    expect(answered.record.epoch - record.epoch).toBe(epochs);
    expect(answered.record.debts.map((debt) => debt.version).join(" ")).toBe(owed);
    expect(answered.why).not.toBe("");
    if (kind === "refused" || kind === "nothing" || kind === "joined") {
      expect(answered).toMatchObject({ record, notes: [], events: [] });
      return;
    }
    expect(answered.notes.length).toBeGreaterThan(0);
    if (kind === "waiting") expect(answered.record.wish).toMatchObject({ requestedBy: "ann" });
    if (request.endsWith("leaked")) {
      const version = request.slice(0, 2);
      expect(answered.record.lease).toBeUndefined();
      expect(answered.record.compromised).toEqual([{ ...mark(version), reportedBy: "ann", at: now }]);
      expect(answered.events.map((event) => event.type)).toContain("dev.keyturn.secret.revoked.v1");
    }
  });
});

describe("a compromised version", () => {
  const leak: Request = { kind: "emergency", by: "ann", version: mark("v1"), cutFirst: false };

  test.each(["finish", "announce", "grace", "halted from grace"] as const)(
    "is never rolled back to from %s",
    (state) => {
      const leaked = { ...recordIn(state), compromised: [{ ...mark("v1"), reportedBy: "ann", at: 0 }] };
      const answered = answer(leaked, requests["rollback, on purpose"], around);
      expect(answered).toMatchObject({ answer: "refused", record: leaked });
    },
  );

  test("is cut off once, however often it is reported", () => {
    const { record } = answer(recordIn("set"), leak, around);
    expect(answer(record, leak, around)).toMatchObject({ answer: "joined", record });
  });

  test("is cut first once, however often that is asked for, and by whatever name of its login", () => {
    const { record } = answer(recordIn("idle"), { ...leak, cutFirst: true }, around);
    expect(answer(record, { ...leak, cutFirst: true }, around)).toMatchObject({ answer: "joined", record });
    const named = { ...record, sameLogin: [["v1", "v0"]] as [string, string][] };
    const other = { ...leak, version: mark("v0"), cutFirst: true } as const;
    const compromised = [...record.compromised, { ...mark("v0"), reportedBy: "ann", at: 0 }];
    expect(answer({ ...named, compromised }, other, around)).toMatchObject({ answer: "joined" });
  });

  test("is cut first again where it was cut before: a target that was restored lets it in", () => {
    const { record } = answer(recordIn("idle"), { ...leak, cutFirst: true }, around);
    const compromised = record.compromised.map((entry) => ({ ...entry, refusedAt: now }));
    const cut = { ...record, debts: [], compromised };
    expect(answer(cut, { ...leak, cutFirst: true }, around)).toMatchObject({
      answer: "began",
      record: { debts: [{ version: "v1", cutFirst: true }] },
    });
  });

  test("that is being cut off already is owed at once where it is to be cut first after all", () => {
    const { record } = answer(recordIn("idle"), leak, around);
    const others = { ...record.compromised[0], ...mark("v0"), reportedBy: "eve", at: 0, refusedAt: now };
    const owed = { ...mark("v0"), reason: "leaked", since: 0, cutFirst: true, ...tries } as const;
    const before = { ...record, compromised: [others, ...record.compromised], debts: [owed] };
    const besides = answer(before, { ...leak, cutFirst: true }, around);
    expect(besides).toMatchObject({
      answer: "began",
      record: { debts: [owed, { version: "v1", cutFirst: true }] },
    });
    const plain = { ...record, debts: [{ ...owed, ...mark("v1"), cutFirst: false }] };
    const sooner = answer(plain, { ...leak, cutFirst: true }, around);
    expect(sooner).toMatchObject({ answer: "began", record: { debts: [{ version: "v1", cutFirst: true }] } });
    const first = answer(record, { ...leak, cutFirst: true }, around);
    expect(first).toMatchObject({ answer: "began", record: { debts: [{ version: "v1", cutFirst: true }] } });
    const cutover = answer(record, { ...leak, cutFirst: true }, { ...around, overlap: "cutover" });
    expect(cutover).toMatchObject({ answer: "joined", record });
  });

  test("that is current is owed at once when it is to be cut first, and no older debt on it is lost", () => {
    const cut = answer(recordIn("idle"), { ...leak, cutFirst: true }, around).record;
    expect(cut.debts).toMatchObject([{ version: "v1", cutFirst: true, notBefore: now }]);
    expect(cut.state).toMatchObject({ phase: "create", rotation: { urgent: true } });
  });
});

test("idle with a debt does not take the slot that is owed: the wish waits", () => {
  const owed = { ...mark("v0"), reason: "retired", since: 0, cutFirst: false, ...tries } as const;
  const answered = answer({ ...recordIn("idle"), debts: [owed] }, requests.rotate, around);
  expect(answered).toMatchObject({ answer: "waiting", record: { state: { phase: "idle" }, debts: [owed] } });
  expect(answered.why).toContain("v0");
});

describe("the successor of a compromised current", () => {
  const leak: Request = { kind: "emergency", by: "ann", version: mark("v1"), cutFirst: false };

  test.each(["create", "set", "test"] as const)(
    "is the candidate in %s: it goes on without grace, and nobody takes it back",
    (state) => {
      const urgent = answer(recordIn(state), leak, around).record;
      expect(urgent.state).toMatchObject({
        phase: state,
        attempts: 0,
        notBefore: now,
        rotation: { id: "v2", urgent: true },
      });
      for (const request of [requests.cancel, requests.rollback]) {
        expect(answer(urgent, request, around)).toMatchObject({ answer: "refused", record: urgent });
      }
    },
  );

  test("is a new one where an undo is under way: a worker of the undo may still put the candidate aside", () => {
    const after = answer(recordIn("undo"), leak, { ...around, overlap: "cutover" }).record;
    expect(after).toMatchObject({
      epoch: 9,
      debts: [{ version: "v2", reason: "superseded" }],
      state: { phase: "create", rotation: { id: "new", urgent: true } },
    });
  });

  test("is never an undo that would bring the compromised one back, for a cutover type", () => {
    const compromised = [{ ...mark("v1"), reportedBy: "ann", at: 0 }];
    const both: Request = { ...leak, version: mark("v2") };
    const after = answer({ ...recordIn("test"), compromised }, both, {
      ...around,
      overlap: "cutover",
    }).record;
    expect(after.state).toMatchObject({ phase: "create", rotation: { id: "new", urgent: true } });
    expect(after.debts).toMatchObject([{ version: "v2", reason: "superseded" }]);
  });

  test("is the cut itself for a cutover type, asked for first or not", () => {
    const cutover = { ...around, overlap: "cutover" } as const;
    expect(answer(recordIn("idle"), { ...leak, cutFirst: true }, cutover).record.debts).toEqual([]);
  });
});

describe("an emergency goes by the value as well as by the version", () => {
  const again = { version: "v9", fingerprint: "print of v1" };
  const leak: Request = { kind: "emergency", by: "ann", version: again, cutFirst: false };

  test("another version of current's value is current", () => {
    expect(answer(recordIn("idle"), leak, around).record.state).toMatchObject({
      phase: "create",
      rotation: { urgent: true },
    });
  });

  test("another version of previous's value is previous", () => {
    expect(answer(recordIn("grace"), leak, around).record.state).toMatchObject({
      phase: "retire",
      forced: true,
    });
  });

  test("the value that a rollback brings back is never made current again", () => {
    const rollback: Rotation = {
      ...rotation,
      id: "v3",
      kind: "rollback",
      restores: mark("v1"),
      pending: undefined,
      previous: mark("v2"),
    };
    const record = {
      ...recordIn("create"),
      current: { ...mark("v2"), since: 0 },
      state: { ...states.create, rotation: rollback },
    };
    const leaked: Request = { ...leak, version: mark("v1") };
    const after = answer(record, leaked, around).record;
    expect(after).toMatchObject({ state: { phase: "undo" }, wish: { kind: "rotate" } });
  });
});

test("a leak that is reported again sets a halted rotation going", () => {
  const compromised = [{ ...mark("v1"), reportedBy: "ann", at: 0 }];
  const leak: Request = { kind: "emergency", by: "ann", version: mark("v1"), cutFirst: false };
  const after = answer({ ...recordIn("halted from test"), compromised }, leak, around);
  expect(after).toMatchObject({
    answer: "began",
    record: { state: { phase: "create", rotation: { urgent: true } } },
  });
});

test("a debt only becomes more urgent", () => {
  const known = {
    ...mark("v0"),
    reason: "leaked",
    since: 1,
    cutFirst: true,
    attempts: 4,
    notBefore: now,
  } as const;
  const again = owe(
    { ...recordIn("idle"), debts: [known] },
    mark("v0"),
    { reason: "retired", cutFirst: false, notBefore: now + 9 },
    now,
  );
  expect(again.debts).toEqual([{ ...known, attempts: 0 }]);
});

test("the old version of a rotation that was halted once it was published is owed when current leaks", () => {
  const record = { ...recordIn("halted from grace"), state: halted("announce") };
  const leak: Request = { kind: "emergency", by: "ann", version: mark("v2"), cutFirst: false };
  expect(answer(record, leak, around).record.debts).toMatchObject([{ version: "v1" }]);
});
