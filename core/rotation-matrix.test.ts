import { expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import type { Outcome } from "./outcome.ts";
import { type Debt, newRecord, type Rotation, type State } from "./record.ts";
import { next } from "./rotation.ts";

const now = 1_000_000;
const around = (overlap: "both-live" | "cutover") => ({
  policy: defaultTestPolicy,
  overlap,
  now,
  newId: "v3",
});
const mark = (version: string) => ({ version, fingerprint: `print of ${version}` });
const tries = { attempts: 0, notBefore: now };
const rotation: Rotation = {
  id: "v2",
  kind: "rotate",
  urgent: false,
  requestedBy: "ann",
  startedAt: 70,
  pending: mark("v2"),
  previous: mark("v1"),
};

const states: readonly State[] = [
  { phase: "idle" },
  { phase: "create", rotation, ...tries },
  { phase: "set", rotation, ...tries },
  { phase: "test", rotation, ...tries },
  { phase: "finish", rotation, ...tries },
  { phase: "announce", rotation, ...tries },
  {
    phase: "grace",
    rotation,
    since: now - 10,
    confirmAt: now,
    refusals: 0,
    adopted: false,
    laggardsNamed: false,
    ...tries,
  },
  { phase: "retire", rotation, since: now - 10, forced: false, ...tries },
  { phase: "undo", rotation, reason: "because", ...tries },
  { phase: "halted", rotation, from: "set", code: "timeout", reason: "because", at: 4 },
];

const failures = [
  { result: "failed", code: "unreachable", disposition: "retry", message: "because" },
  { result: "failed", code: "conflict", disposition: "retry", message: "because" },
  { result: "failed", code: "login-refused", disposition: "reject", message: "because" },
  { result: "failed", code: "fence-conflict", disposition: "halt", message: "because" },
] as const;
const debt: Debt = { ...mark("v9"), reason: "leaked", since: 3, cutFirst: false, ...tries };
const outcomes: readonly Outcome[] = [
  { step: "create", result: "saved", pending: mark("v2"), current: mark("v1") },
  { step: "create", result: "foreign", pending: mark("v9") },
  ...(["set", "test", "finish", "announce", "undo"] as const).map(
    (step) => ({ step, result: "done" }) as const,
  ),
  { step: "undo", result: "published" },
  { step: "confirm", result: "works" },
  { step: "confirm", result: "unknown" },
  { step: "confirm", result: "refused", previousWorks: true },
  { step: "confirm", result: "refused", previousWorks: false },
  { step: "settle", debt, result: "refused", sessionsEnded: 1, survives: [] },
  { step: "settle", debt, result: "gone", sessionsEnded: 0, survives: [] },
  { step: "settle", debt, result: "in-use", clients: ["psql"] },
  { step: "settle", debt, result: "named", current: mark("v1") },
  ...failures.flatMap((failure): readonly Outcome[] => [
    { step: "settle", debt, ...failure },
    ...(["create", "set", "test", "finish", "announce", "confirm", "undo"] as const).map((step) => ({
      step,
      ...failure,
    })),
  ]),
];

function ofOutcome(outcome: Outcome): string {
  return outcome.result === "failed"
    ? `${outcome.step} that failed: ${outcome.code}`
    : `${outcome.step} ${outcome.result}`;
}

type Phase = State["phase"];

/** Where the state goes by what it waits for. */
const landings: Readonly<Partial<Record<Phase, Readonly<Record<string, Phase>>>>> = {
  create: {
    "create saved": "set",
    "create foreign": "create",
    "create that failed: unreachable": "create",
    "create that failed: conflict": "create",
    "create that failed: login-refused": "undo",
    "create that failed: fence-conflict": "halted",
  },
  set: {
    "set done": "test",
    "set that failed: unreachable": "set",
    "set that failed: conflict": "set",
    "set that failed: login-refused": "undo",
    "set that failed: fence-conflict": "halted",
  },
  test: {
    "test done": "finish",
    "test that failed: unreachable": "test",
    "test that failed: conflict": "test",
    "test that failed: login-refused": "undo",
    "test that failed: fence-conflict": "halted",
  },
  // Nobody knows whether it is out: a person says so, and nothing is taken back.
  finish: {
    "finish done": "announce",
    "finish that failed: unreachable": "finish",
    "finish that failed: conflict": "finish",
    "finish that failed: login-refused": "halted",
    "finish that failed: fence-conflict": "halted",
  },
  // It is out, told or not.
  announce: {
    "announce done": "grace",
    "announce that failed: unreachable": "announce",
    "announce that failed: conflict": "announce",
    "announce that failed: login-refused": "grace",
    "announce that failed: fence-conflict": "grace",
  },
  grace: {
    "confirm works": "grace",
    "confirm unknown": "grace",
    "confirm refused": "grace",
    "confirm that failed: unreachable": "grace",
    "confirm that failed: conflict": "grace",
    "confirm that failed: login-refused": "grace",
    "confirm that failed: fence-conflict": "grace",
  },
  undo: {
    "undo done": "idle",
    "undo published": "announce",
    "undo that failed: unreachable": "undo",
    "undo that failed: conflict": "undo",
    "undo that failed: login-refused": "halted",
    "undo that failed: fence-conflict": "halted",
  },
};

/** Where a leak of current goes from a state, when a debt turns out to be that. */
const strikes: Readonly<Record<Phase, Phase>> = {
  ...{ idle: "create", create: "create", set: "set", test: "test", finish: "finish", announce: "announce" },
  ...{ grace: "create", retire: "create", undo: "create", halted: "create" },
};

const cells = (["both-live", "cutover"] as const).flatMap((overlap) =>
  states.flatMap((state) =>
    outcomes.map((outcome) => [overlap, state.phase, ofOutcome(outcome), state, outcome] as const),
  ),
);
const recordIn = (state: State, debts: readonly Debt[]) => ({
  ...newRecord("app/db"),
  ...{ epoch: 7, current: { ...mark("v1"), since: 5 }, state, debts: [...debts] },
});

test("the table has every cell: two overlaps, ten states, 48 outcomes", () => {
  expect(cells).toHaveLength(960);
  expect(new Set(states.map(({ phase }) => phase)).size).toBe(10);
});

test.each(cells)(
  "%s, %s meets %s: it moves on by what it waits for, and by nothing else",
  (overlap, phase, told, state, outcome) => {
    const before = recordIn(state, []);
    const after = next(before, outcome, around(overlap));
    const awaited = landings[phase]?.[told];
    if (awaited === undefined) expect(after).toEqual({ record: before, notes: [], events: [] });
    else expect(after.record).not.toEqual(before);
    expect(after.record.state.phase).toBe(awaited ?? phase);
    // Whoever takes back, or puts somebody else's candidate aside, is ahead of who is still at work.
    const isAhead =
      awaited !== undefined && ((awaited === "undo" && phase !== "undo") || told === "create foreign");
    expect(after.record.epoch).toBe(isAhead ? 8 : 7);
  },
);

test.each(cells.filter(([, , , , { step }]) => step === "settle"))(
  "%s, %s, with that debt, meets %s: only the debt changes, unless it is a leak of current",
  (overlap, phase, _told, state, outcome) => {
    const before = recordIn(state, [debt]);
    const { record } = next(before, outcome, around(overlap));
    const isPaid = outcome.result === "refused" || outcome.result === "gone";
    const isStruck = outcome.result === "named";
    const struck = phase === "retire" && !isStruck ? phase : strikes[phase];
    expect(record.state.phase).toBe(isStruck ? struck : phase);
    if (isPaid) expect(record.debts).toEqual([]);
    else expect(record.debts).toContainEqual(expect.objectContaining(mark("v9")));
    const postponed = record.debts.find(({ version }) => version === "v9")?.attempts;
    if (!isPaid && !isStruck) expect(postponed).toBe(1);
  },
);
