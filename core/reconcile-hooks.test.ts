import { expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { KeyturnError } from "./errors.ts";
import { request } from "./operate.ts";
import { type ReconcileOptions, reconcile } from "./reconcile.ts";

const ref = "app/db";

/** Rotates once more than there is already, and gives what the hooks were told. */
async function told(fails?: KeyturnError) {
  const target = modelTarget();
  const { ports, clock } = memoryPorts(target.bothLive, { policy: { graceAtMostMs: 2_000 } });
  const steps: string[] = [];
  const changes: string[] = [];
  const hooks: Pick<ReconcileOptions, "trace" | "observe"> = {
    trace: async ({ step, managed, record }, carryOut) => {
      expect([managed.ref, record.ref]).toEqual([ref, ref]);
      const outcome = await carryOut();
      steps.push(`${step} in ${record.state.phase}: ${outcome.result}`);
      return outcome;
    },
    observe: ({ record, notes }, before) => {
      const actions = notes.map(({ action }) => action).join(", ");
      changes.push(`${before.state.phase} to ${record.state.phase}: ${actions}`);
    },
  };
  const rotate = async (options: Pick<ReconcileOptions, "trace" | "observe">) => {
    await request(ref, ports, { kind: "rotate", by: "tester" });
    for (;;) {
      const { until, record } = await reconcile(ref, ports, { worker: "worker", ...options });
      if (record.state.phase === "idle" || until === undefined) return record;
      clock.advance(Math.max(1, until - clock.now()));
    }
  };
  await rotate({});
  if (fails !== undefined) target.fail("test", fails);
  const record = await rotate(hooks);
  return { steps, changes, record };
}

test("a hook is run around every step, and told of every change with what was before", async () => {
  const { steps, changes, record } = await told();
  expect(steps).toEqual([
    "create in create: saved",
    "set in set: done",
    "test in test: done",
    "finish in finish: done",
    "announce in announce: done",
    "retire in retire: refused",
  ]);
  expect(changes).toEqual([
    "create to set: create.done",
    "set to test: set.done",
    "test to finish: test.done",
    "finish to announce: finish.done",
    "announce to grace: announce.done, grace.began",
    "grace to retire: retire.began",
    "retire to idle: debt.paid, rotation.ended",
  ]);
  expect(record.debts).toEqual([]);
});

test("a step that fails is an outcome to a hook, never a throw", async () => {
  const { steps, changes, record } = await told(new KeyturnError("login-refused", "no"));
  expect(steps.slice(2)).toEqual(["test in test: failed", "undo in undo: done"]);
  expect(changes.slice(2)).toEqual(["test to undo: undo.began", "undo to idle: undo.done"]);
  expect(record.state.phase).toBe("idle");
});
