import { describe, expect, test } from "vitest";
import { sampleChain } from "./audit-log.contract.ts";
import { newRecord, parseRecord, type RotationRecord, type State } from "./record.ts";

const ref = "app/db";
const print = (version: string) => ({ version, fingerprint: `print of ${version}` });
const tries = { attempts: 2, notBefore: 9 };
const rotation = {
  id: "v2",
  kind: "rollback" as const,
  urgent: true,
  restores: print("v0"),
  requestedBy: "ann",
  startedAt: 3,
  pending: print("v2"),
  previous: print("v1"),
  cutSince: 8,
};
const graceOnly = { since: 4, confirmAt: 5, refusals: 1, adopted: true, laggardsNamed: true };
const states: readonly State[] = [
  { phase: "idle" },
  { phase: "create", rotation, ...tries },
  { phase: "set", rotation, ...tries },
  { phase: "test", rotation, ...tries },
  { phase: "finish", rotation, ...tries },
  { phase: "announce", rotation, ...tries },
  { phase: "grace", rotation, ...graceOnly, ...tries },
  { phase: "retire", rotation, since: 4, forced: true, ...tries },
  { phase: "undo", rotation, reason: "it was refused", ...tries },
  { phase: "halted", rotation, from: "set", code: "superseded", reason: "epoch 9", at: 4 },
];
const word = { by: "ann", reason: "a migration", at: 4 };

/** A record in which nothing is left out that may be there. */
const full: RotationRecord = {
  schema: 1,
  ref,
  epoch: 7,
  state: { phase: "idle" },
  current: { ...print("v1"), since: 3 },
  debts: [{ ...print("v0"), reason: "retired", since: 5, cutFirst: true, ...tries }],
  compromised: [
    { ...print("v0"), reportedBy: "eve", at: 6, refusedAt: 7, sessionsEnded: 2, survives: ["a session"] },
  ],
  wish: { kind: "rotate", requestedBy: "ann", at: 4 },
  importing: ["v7"],
  sameLogin: [["v6", "v5"]],
  refused: ["v4"],
  paused: word,
  holds: [{ ...word, until: 9 }],
  urgentNotBefore: 1,
  urgentAttempts: 2,
  scheduleNotBefore: 3,
  scheduleFailures: 4,
  lease: { holder: "worker", until: 8 },
  audit: { sequence: 2, hash: "ab" },
  outbox: {
    entries: [...sampleChain(ref, 2)],
    events: [
      {
        specversion: "1.0",
        id: "app/db/7/retired/v0",
        source: "keyturn/mine",
        subject: ref,
        time: "2026-01-01T00:00:00.000Z",
        datacontenttype: "application/json",
        type: "dev.keyturn.secret.retired.v1",
        data: { epoch: 7, version: "v0", sessionsEnded: 2 },
      },
    ],
    attempts: 1,
  },
  dueAt: 10,
};

/** Each copy that lacks one thing which the value has somewhere inside, with the way to it. */
function* lackingOne(value: object, way: readonly string[] = []): Generator<readonly [string, object]> {
  for (const [name, inside] of Object.entries(value)) {
    const rest = Object.entries(value).filter(([other]) => other !== name);
    const path = [...way, name];
    if (!Array.isArray(value)) yield [path.join("."), Object.fromEntries(rest)];
    if (typeof inside !== "object" || inside === null) continue;
    for (const [deeper, changed] of lackingOne(inside, path)) {
      const copy = Array.isArray(value)
        ? value.map((one) => (one === inside ? changed : one))
        : { ...value, [name]: changed };
      yield [deeper, copy];
    }
  }
}

/** What need not be there, wherever it is. */
const optional =
  /^(state\.rotation\.(restores|pending|previous|cutSince)|current|wish|importing|paused|holds|sameLogin|refused|lease|outbox\.entries\.\d\.version|compromised\.0\.(fingerprint|refusedAt|sessionsEnded|survives))$/;

/** What is there without a word, empty. */
const emptyLists = ["holds", "sameLogin", "refused"];

describe.each(states.map((state) => [state.phase, { ...full, state }] as const))(
  "a record in %s",
  (phase, record) => {
    test("is read as it was written", () => {
      expect(parseRecord(record, ref)).toEqual(record);
      expect(parseRecord(JSON.parse(JSON.stringify(record)), ref)).toEqual(record);
    });

    test("carries in nothing that it does not know", () => {
      const state = { ...record.state, value: "canary" };
      expect(JSON.stringify(parseRecord({ ...record, state, value: "canary" }, ref))).not.toContain("canary");
    });

    const lacking = [...lackingOne(record)].filter(([way]) => phase === "idle" || way.startsWith("state."));
    const isOptional = (way: string) =>
      optional.test(way) || (phase === "halted" && way === "state.rotation");
    test.each(lacking.filter(([way]) => !isOptional(way)))(
      "is none without %s, and says so",
      (way, broken) => {
        const message = way === "outbox.events.0.type" ? "outbox.events.0" : way;
        expect(() => parseRecord(broken, ref)).toThrow(
          expect.objectContaining({ code: "data-broken", message: expect.stringContaining(message) }),
        );
      },
    );

    test.each(lacking.filter(([way]) => isOptional(way)))("is one without %s", (way, other) => {
      expect(parseRecord(other, ref)).toEqual(emptyLists.includes(way) ? { ...record, [way]: [] } : other);
    });
  },
);

const inState = (state: State, changes: object): object => ({ ...full, state: { ...state, ...changes } });
const [, create] = states;
const halted = states.at(-1);
const someDebt = (reason: string) => ({ ...full, debts: [{ ...full.debts[0], reason }] });

test.each([
  ...["retired", "leaked", "superseded", "foreign"].map(someDebt),
  { ...full, wish: { ...full.wish, kind: "rollback" } },
  { ...full, dueAt: null },
  ...states.slice(0, -1).map(({ phase }) => halted && inState(halted, { from: phase })),
  create && inState(create, { rotation: { ...rotation, kind: "rotate" } }),
])("knows every word of its own: %#", (record) => {
  expect(parseRecord(record, ref)).toEqual(record);
});

test.each([
  someDebt(""),
  { ...full, wish: { ...full.wish, kind: "" } },
  { ...full, schema: 0 },
  halted && inState(halted, { from: "halted" }),
  halted && inState(halted, { from: "" }),
  create && inState(create, { rotation: { ...rotation, kind: "" } }),
  create && inState(create, { phase: "" }),
  null,
  "text",
])("knows no other word: %#", (record) => {
  expect(() => parseRecord(record, ref)).toThrow(expect.objectContaining({ code: "data-broken" }));
});

test("all that cannot be read is named", () => {
  expect(() => parseRecord({ ...full, epoch: "7", audit: { sequence: 2 } }, ref)).toThrow(
    /^the record of app\/db cannot be read: epoch, audit\.hash$/,
  );
});

test("a newer record halts, whatever else is in it", () => {
  for (const schema of [2, 1.5, 99]) {
    expect(() => parseRecord({ schema }, ref)).toThrow(
      expect.objectContaining({
        code: "schema-newer",
        message: `the record of app/db has schema ${schema}; this Keyturn knows 1`,
      }),
    );
  }
});

test("a new record has nothing but its name", () => {
  const made = newRecord(ref);
  expect(made).toEqual({
    schema: 1,
    ref,
    epoch: 0,
    state: { phase: "idle" },
    debts: [],
    compromised: [],
    holds: [],
    sameLogin: [],
    refused: [],
    urgentNotBefore: 0,
    urgentAttempts: 0,
    scheduleNotBefore: 0,
    scheduleFailures: 0,
    audit: { sequence: 0, hash: "" },
    outbox: { entries: [], events: [], attempts: 0 },
    dueAt: null,
  });
  expect(parseRecord(made, ref)).toEqual(made);
});
