import { describe, expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { acceptReports } from "./accept-reports.ts";
import { seal } from "./audit.ts";
import { KeyturnError } from "./errors.ts";
import type { RotationEvent } from "./events.ts";
import { request } from "./operate.ts";
import type { Outcome } from "./outcome.ts";
import type { Policy, Ports } from "./ports.ts";
import { managedSecret, type ReconcileOptions, reconcile } from "./reconcile.ts";
import { newRecord, type Rotation, type RotationRecord, type State } from "./record.ts";
import { every } from "./schedule.ts";

const ref = "app/db";
const down = new KeyturnError("unreachable", "no answer");

/** A Keyturn in memory that tells what it saves, and says so when it is asked to fail. */
function world(policy: Partial<Policy> = {}) {
  const target = modelTarget();
  const memory = memoryPorts(target.bothLive, { policy });
  const { journal } = memory.ports;
  const saves: RotationRecord[] = [];
  const failures: Error[] = [];
  const logged: unknown[][] = [];
  const ports: Ports = {
    ...memory.ports,
    journal: {
      ...journal,
      save: async (record, revision) => {
        const failure = failures.shift();
        if (failure !== undefined) throw failure;
        saves.push(record);
        return journal.save(record, revision);
      },
    },
    log: (...line) => logged.push(line),
  };
  return {
    ...memory,
    target,
    ports,
    saves,
    failures,
    logged,
    now: memory.clock.now(),
    work: (options: Partial<ReconcileOptions> = {}, using = ports) =>
      reconcile(ref, using, { worker: "worker", ...options }),
    put: (changes: Partial<RotationRecord>) => journal.save({ ...newRecord(ref), ...changes }, undefined),
    rotate: () => request(ref, memory.ports, { kind: "rotate", by: "tester" }),
    untilIdle: async (options: Partial<ReconcileOptions> = {}) => {
      for (let turn = 0; turn < 100; turn += 1) {
        const { until, record } = await reconcile(ref, ports, { worker: "worker", ...options });
        if (record.state.phase === "idle" || until === undefined) return record;
        memory.clock.advance(Math.max(1, until - memory.clock.now()));
      }
      throw new Error("it never ends");
    },
  };
}
const mark = (version: string) => ({ version, fingerprint: `print of ${version}` });
const rotation: Rotation = {
  id: "v2",
  kind: "rotate",
  urgent: false,
  requestedBy: "tester",
  startedAt: 0,
};
const announcing: State = { phase: "announce", rotation, attempts: 0, notBefore: 0 };

describe("what is not there", () => {
  test("in the manifest is an error of whoever asks for it", async () => {
    const { ports, managed } = world();
    expect(managedSecret(ports, ref)).toBe(managed);
    await expect(reconcile("app/other", ports, { worker: "worker" })).rejects.toMatchObject({
      code: "input-invalid",
      message: "the manifest has no secret app/other",
    });
  });

  test("in the journal is not touched", async () => {
    const { work, saves } = world();
    await expect(work()).rejects.toMatchObject({
      code: "secret-missing",
      message: "app/db is not under Keyturn yet",
    });
    expect(saves).toEqual([]);
  });
});

describe("a save that fails", () => {
  test("because somebody else was faster has the record read again", async () => {
    const { work, rotate, failures, saves } = world();
    await rotate();
    failures.push(new KeyturnError("conflict", "moved"));
    expect(await work()).toMatchObject({ result: "waiting", record: { state: { phase: "idle" } } });
    expect(saves.length).toBeGreaterThan(3);
  });

  test("for any other reason ends the run", async () => {
    const { work, rotate, failures, saves } = world();
    await rotate();
    failures.push(down);
    await expect(work()).rejects.toBe(down);
    expect(saves).toEqual([]);
  });
});

describe("a lease", () => {
  const held = (holder: string, until: number) => ({ lease: { holder, until }, dueAt: null });

  test.each([
    ["of another keeps away until it ends", "other", 1, undefined, true],
    ["of another that lives keeps away", "other", 1, false, true],
    ["of another that is gone holds nobody", "other", 1, true, false],
    ["of another that has ended holds nobody", "other", 0, undefined, false],
    ["of one's own holds nobody", "worker", 1, undefined, false],
  ] as const)("%s", async (_, holder, left, gone, isBusy) => {
    const { put, work, saves, now } = world();
    await put(held(holder, now + left));
    const asked: string[] = [];
    const isGone = (worker: string) => {
      asked.push(worker);
      return gone === true;
    };
    const { record, ...rest } = await work(gone === undefined ? {} : { isGone });
    expect(rest).toEqual(
      isBusy ? { result: "busy", until: now + left } : { result: "waiting", until: undefined },
    );
    expect(record.lease).toEqual(isBusy ? { holder, until: now + left } : undefined);
    expect(saves).toHaveLength(isBusy ? 0 : 1);
    expect(asked).toEqual(gone === undefined ? [] : ["other"]);
  });

  test.each([
    ["long enough for the step is not renewed before it", 5_000, 0],
    ["too short for the step is renewed before it", 4_999, 1],
  ])("of one's own that is %s", async (_, left, renewals) => {
    const { put, work, saves, now } = world();
    await put({ state: announcing, ...held("worker", now + left) });
    await work();
    const before = saves.filter(({ state }) => state.phase === "announce");
    expect(before).toHaveLength(renewals);
  });

  test.each([
    [5_000, 10_000, 5_000],
    [1_000, 2_000, 2_000],
  ])(
    "for steps of %i ms is taken for twice that, and looked into in time",
    async (stepDeadlineMs, lasts, looks) => {
      const { rotate, work, saves, now } = world({ stepDeadlineMs });
      await rotate();
      await work();
      const lease = { holder: "worker", until: now + lasts };
      expect(saves.map(({ state, lease, dueAt }) => ({ phase: state.phase, lease, dueAt }))).toEqual([
        ...["create", "set", "test", "finish", "announce", "idle"].map((phase) => ({
          phase,
          lease,
          dueAt: now + looks,
        })),
        { phase: "idle", lease: undefined, dueAt: null },
      ]);
    },
  );
});

describe("a worker whose time runs short", () => {
  test.each([
    [0, "paused"],
    [1, "waiting"],
  ] as const)("by %i ms from now: %s", async (left, result) => {
    const { rotate, work, now, saves } = world();
    await rotate();
    const done = await work({ until: now + left });
    expect(done.result).toBe(result);
    if (result === "waiting") return;
    expect(done).toMatchObject({ until: now, record: { state: { phase: "create" } } });
    expect(saves).toMatchObject([{ state: { phase: "create" }, dueAt: now }]);
    expect(saves[0]?.lease).toBeUndefined();
  });
});

describe("a quota", () => {
  const quotaOf = (taken: number[]) => ({ opensAt: () => 0, took: (at: number) => void taken.push(at) });

  test("counts a scheduled rotation once, and is not needed for one", async () => {
    const { rotate, untilIdle, work, clock } = world({ schedule: every(10_000), graceAtMostMs: 2_000 });
    await rotate();
    await untilIdle();
    clock.advance(10_000);
    const taken: number[] = [];
    const began = clock.now();
    expect((await work({ quota: quotaOf(taken) })).record.state.phase).toBe("grace");
    await untilIdle({ quota: quotaOf(taken) });
    expect(taken).toEqual([began]);
    clock.advance(10_000);
    expect((await work()).record.state.phase).toBe("grace");
  });

  test("that is used up holds a scheduled rotation back until it opens", async () => {
    const { put, work, now } = world({ schedule: every(10_000) });
    await put({ current: { ...mark("v1"), since: now - 10_000 } });
    const taken: number[] = [];
    const quota = { ...quotaOf(taken), opensAt: (at: number) => at + 7_000 };
    expect(await work({ quota })).toMatchObject({ until: now + 7_000, record: { state: { phase: "idle" } } });
    expect(taken).toEqual([]);
  });

  test("does not count what a person asked for", async () => {
    const { put, untilIdle } = world();
    await put({ wish: { kind: "rotate", requestedBy: "ann", at: 0 } });
    const taken: number[] = [];
    expect((await untilIdle({ quota: quotaOf(taken) })).current).toBeDefined();
    expect(taken).toEqual([]);
  });
});

test("grace ends once the fleet has proven that it uses the new version, and dropped the old one", async () => {
  const { rotate, untilIdle, work, ports, clock } = world();
  await rotate();
  const old = (await untilIdle()).current?.version ?? "";
  await rotate();
  const version = (await work()).record.current?.version ?? "";
  const said = { ref, agent: "host/a", fleet: "agents", adopted: version, holds: [] };
  clock.advance(2_000);
  await acceptReports(ports, [{ ...said, sequence: 1, inUse: [old, version] }]);
  expect((await work()).record.state.phase).toBe("grace");
  await acceptReports(ports, [{ ...said, sequence: 2, inUse: [version] }]);
  expect((await work()).record.state.phase).toBe("retire");
});

describe("at rest", () => {
  const entry = seal(
    { ref, at: 0, actor: "ann", action: "paused", epoch: 0, version: undefined, detail: "" },
    { sequence: 0, hash: "" },
  );
  const event: RotationEvent = {
    specversion: "1.0",
    id: "app/db/7/retired/v1",
    source: "keyturn/test",
    subject: ref,
    time: "2026-01-01T00:00:00.000Z",
    datacontenttype: "application/json",
    type: "dev.keyturn.secret.retired.v1",
    data: { epoch: 7, version: "v1", sessionsEnded: 2 },
  };

  test.each<readonly [string, Partial<RotationRecord>, number]>([
    ["nothing has changed", {}, 0],
    ["a lease is left", { lease: { holder: "worker", until: 0 } }, 1],
    ["a time is left", { dueAt: 5 }, 1],
    ["something was sent", { outbox: { entries: [entry], events: [], attempts: 0 } }, 1],
  ])("it saves only what is new: %s", async (_, changes, times) => {
    const { put, work, saves } = world();
    await put(changes);
    const { result, until, record } = await work();
    expect([result, until, record]).toEqual(["waiting", undefined, { ...newRecord(ref), lease: undefined }]);
    expect(saves).toHaveLength(times);
  });

  test.each([
    ["the audit", [entry], [], 400],
    ["the bus", [], [event], 400],
    ["both", [entry], [event], 400],
  ] as const)("what %s did not take is tried again after a pause", async (_, entries, events, pause) => {
    const { put, work, ports, now } = world();
    const fails = () => Promise.reject(down);
    const deaf: Ports = { ...ports, audit: { ...ports.audit, append: fails }, bus: { publish: fails } };
    await put({ outbox: { entries: [...entries], events: [...events], attempts: 2 } });
    expect(await work({}, deaf)).toMatchObject({
      result: "waiting",
      until: now + pause,
      record: { dueAt: now + pause, outbox: { attempts: 3 } },
    });
  });

  test("the earlier of two times is the one to wait for", async () => {
    const { put, work, ports, now } = world({ schedule: every(300) });
    const deaf: Ports = { ...ports, bus: { publish: () => Promise.reject(down) } };
    await put({
      current: { ...mark("v1"), since: now },
      outbox: { entries: [], events: [event], attempts: 2 },
    });
    expect((await work({}, deaf)).until).toBe(now + 300);
  });
});

describe("a step that fails", () => {
  const secondRotation = async () => {
    const it = world({ graceAtMostMs: 1_000, attemptsMax: 99 });
    await it.rotate();
    await it.untilIdle();
    await it.rotate();
    const outcomes: Outcome[] = [];
    const trace: ReconcileOptions["trace"] = async ({ step }, carryOut) => {
      const outcome = await carryOut();
      if (outcome.result === "failed") outcomes.push(outcome);
      if (outcome.result === "failed") steps.push(step);
      return outcome;
    };
    const steps: string[] = [];
    return { ...it, outcomes, steps, trace };
  };
  const failed = { result: "failed", code: "unreachable", disposition: "retry", message: "no answer" };

  test("is an outcome, and a line of the log that names it", async () => {
    const { target, work, trace, outcomes, steps, logged } = await secondRotation();
    target.fail("set", down);
    await work({ trace });
    expect(outcomes).toEqual([{ step: "set", ...failed }]);
    expect(steps).toEqual(["set"]);
    expect(logged).toEqual([
      ["warn", "set of app/db failed", { code: "unreachable", error: expect.anything() }],
    ]);
  });

  test("to pay a debt says which", async () => {
    const { target, clock, work, trace, outcomes, steps, logged } = await secondRotation();
    await work();
    clock.advance(1_000);
    await work();
    clock.advance(1_000);
    target.fail("retire", down);
    const { record } = await work({ trace });
    const [debt] = record.debts;
    expect(outcomes).toEqual([
      { step: "settle", debt: { ...debt, attempts: 0, notBefore: expect.any(Number) }, ...failed },
    ]);
    expect(steps).toEqual(["retire"]);
    expect(logged.map(([, message]) => message)).toEqual(["retire of app/db failed"]);
  });

  test("loses what was kept open, at once and told why; the end of a run closes the rest", async () => {
    const { ports, rotate, target } = world();
    await rotate();
    const closed: string[] = [];
    const keeps = {
      ...target.bothLive,
      test: async (...[change, context]: Parameters<typeof target.bothLive.test>) => {
        context.defer(() => void closed.push(context.signal.reason?.code ?? "in order"));
        if (closed.length === 0) throw down;
        await target.bothLive.test(change, context);
      },
    };
    const options = { worker: "worker" };
    const keeping: Ports = { ...ports, rotators: { load: async () => keeps } };
    const { until } = await reconcile(ref, keeping, options);
    expect(closed).toEqual(["unreachable"]);
    expect(until).toBeDefined();
  });
});

test("what a run kept open is closed with it", async () => {
  const { ports, rotate, target } = world();
  await rotate();
  const closed: string[] = [];
  const keeps = {
    ...target.bothLive,
    set: async (...[change, context]: Parameters<typeof target.bothLive.set>) => {
      context.defer(() => void closed.push(`aborted: ${context.signal.aborted}`));
      await target.bothLive.set(change, context);
    },
  };
  await reconcile(ref, { ...ports, rotators: { load: async () => keeps } }, { worker: "worker" });
  expect(closed).toEqual(["aborted: false"]);
});
