import { expect, test } from "vitest";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import type { Outcome } from "./outcome.ts";
import { type Debt, newRecord, type Rotation, type State } from "./record.ts";
import { next } from "./rotation.ts";

const now = 1_000_000;
const around = { policy: defaultTestPolicy, overlap: "both-live" as const, now, newId: "v3" };
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
const debt: Debt = { ...mark("v9"), reason: "retired", since: 3, cutFirst: false, ...tries };
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

const cells = states.flatMap((state) =>
  outcomes.map((outcome) => [state.phase, ofOutcome(outcome), state, outcome] as const),
);

test("the table has every cell: ten states, 47 outcomes", () => {
  expect(cells).toHaveLength(470);
  expect(new Set(states.map(({ phase }) => phase)).size).toBe(10);
});

test.each(cells)(
  "%s meets %s: it moves on by what it waits for, and by nothing else",
  (_phase, _outcome, state, outcome) => {
    const before = { ...newRecord("app/db"), epoch: 7, current: { ...mark("v1"), since: 5 }, state };
    const after = next(before, outcome, around);
    const awaited = outcome.step === (state.phase === "grace" ? "confirm" : state.phase);
    if (awaited) expect(after.record).not.toEqual(before);
    else expect(after).toEqual({ record: before, notes: [], events: [] });
    expect(after.record.epoch).toBeGreaterThanOrEqual(before.epoch);
  },
);
