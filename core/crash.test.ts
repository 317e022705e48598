import { describe, expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { verifyChain } from "./audit.ts";
import { request, versionMark } from "./operate.ts";
import type { Ports } from "./ports.ts";
import { reconcile } from "./reconcile.ts";
import type { Rotator } from "./rotator.ts";

const ref = "app/db";
/** Whether a stopped worker's last call was carried out. */
type Mode = "before" | "after";

/** Stops the caller at its n-th call to the outside, for ever or until `thaw`: a crash is a call that never returns. */
function interceptor(stopAt: number, mode: Mode) {
  let calls = 0;
  let thaw: () => void = () => undefined;
  let stopped: () => void = () => undefined;
  const hasStopped = new Promise<void>((resolve) => {
    stopped = resolve;
  });
  const frozen = new Promise<void>((resolve) => {
    thaw = resolve;
  });
  const here = async (when: Mode, call: number): Promise<void> => {
    if (call !== stopAt || when !== mode) return;
    stopped();
    await frozen;
  };
  const wrap = <Part extends object>(part: Part): Part =>
    new Proxy(part, {
      get(owner, name) {
        const method: unknown = Reflect.get(owner, name);
        if (typeof method !== "function" || name === "read" || name === "load") return method;
        return async (...args: unknown[]) => {
          calls += 1;
          const call = calls;
          await here("before", call);
          const result: unknown = await Reflect.apply(method, owner, args);
          await here("after", call);
          return result;
        };
      },
    });
  return { wrap, hasStopped, thaw: () => thaw(), calls: () => calls };
}

async function world(overlap: "both-live" | "cutover") {
  const target = modelTarget();
  const rotator = overlap === "both-live" ? target.bothLive : target.cutover;
  const { ports, clock } = memoryPorts(rotator, { policy: { graceAtMostMs: 3_000, stepDeadlineMs: 60_000 } });
  const values = new Map<string, { username: string; password: string }>();

  const note = async (): Promise<void> => {
    for (const stage of ["current", "pending"] as const) {
      const stored = await ports.store.read(ref, stage);
      if (stored !== undefined) values.set(stored.version, JSON.parse(stored.value.reveal()));
    }
  };
  const rotate = () => request(ref, ports, { kind: "rotate", by: "tester" });
  const finish = async (worker: string): Promise<void> => {
    for (let turn = 0; turn < 200; turn += 1) {
      const { until, record, result } = await reconcile(ref, ports, { worker });
      await note();
      await expectReadable();
      if (result === "waiting" && until === undefined) return;
      if (record.state.phase === "halted") throw new Error(`halted: ${record.state.reason}`);
      clock.advance(Math.max(1, (until ?? 0) - clock.now()));
    }
    throw new Error("it never ends");
  };
  /** An agent that follows the readers' rule always finds a credential that works. */
  const expectReadable = async (): Promise<void> => {
    const tried = [await ports.store.read(ref, "current"), await ports.store.read(ref, "pending")];
    const readers = overlap === "both-live" ? tried.slice(0, 1) : tried;
    const works = readers.some((stored) => {
      if (stored === undefined) return false;
      const { username, password } = JSON.parse(stored.value.reveal());
      return target.accepts(username, password);
    });
    expect(works).toBe(true);
  };
  const expectSettled = async (): Promise<void> => {
    const loaded = await ports.journal.load(ref);
    expect(loaded?.record.state.phase).toBe("idle");
    expect(loaded?.record.debts).toEqual([]);
    const current = await ports.store.read(ref, "current");
    expect(current?.version).toBe(loaded?.record.current?.version);
    expect(await ports.store.read(ref, "pending")).toBeUndefined();
    // By value: a rollback gives the old value a new version.
    const live = [...values.values()].filter(({ username, password }) => target.accepts(username, password));
    expect([...new Set(live.map((value) => JSON.stringify(value)))]).toEqual([current?.value.reveal()]);
    const end = loaded?.record.audit;
    expect((await verifyChain(ref, ports.audit.read(ref), end)).fault).toBeUndefined();
  };

  await rotate();
  await finish("first");
  return { ports, rotator, clock, note, rotate, finish, expectSettled, expectReadable, target };
}

/** Runs a rotation whose worker stops at the call; true if the rotation ended before that call. */
async function stopAt(it: Awaited<ReturnType<typeof world>>, call: number, mode: Mode) {
  const trap = interceptor(call, mode);
  const rotator: Rotator = trap.wrap(it.rotator);
  const ports: Ports = {
    ...it.ports,
    store: trap.wrap(it.ports.store),
    journal: trap.wrap(it.ports.journal),
    bus: trap.wrap(it.ports.bus),
    audit: trap.wrap(it.ports.audit),
    rotators: { load: async () => rotator },
  };
  await it.rotate();
  const doomed = (async () => {
    for (let turn = 0; turn < 200; turn += 1) {
      const { until } = await reconcile(ref, ports, { worker: "doomed" });
      if (until === undefined) return "ended" as const;
      it.clock.advance(Math.max(1, until - it.clock.now()));
    }
    return "ended" as const;
  })().catch(() => "failed" as const);
  const first = await Promise.race([doomed, trap.hasStopped.then(() => "stopped" as const)]);
  await it.note();
  return { first, doomed, trap };
}

const afterwards = {
  "the same rotation goes on": async (it) => it.finish("second"),
  "it is cancelled, and another begun": async (it) => {
    await request(ref, it.ports, { kind: "cancel", by: "tester", insist: false });
    await it.finish("second");
    await it.rotate();
    await it.finish("third");
  },
  "current turns out to be leaked": async (it) => {
    const version = await versionMark(ref, it.ports, "current");
    await request(ref, it.ports, { kind: "emergency", by: "tester", version, cutFirst: false });
    await it.finish("second");
  },
  "it is rolled back": async (it) => {
    await request(ref, it.ports, { kind: "rollback", by: "tester", insist: false });
    await it.finish("second");
  },
} satisfies Record<string, (it: Awaited<ReturnType<typeof world>>) => Promise<void>>;

describe.each(["both-live", "cutover"] as const)("a worker of a %s type that dies at any call", (overlap) => {
  describe.each(["before", "after"] as const)("%s the call is carried out", (mode) => {
    for (const [what, act] of Object.entries(afterwards)) {
      test(`loses nothing when ${what}`, async () => {
        let stops = 0;
        for (let call = 1; ; call += 1) {
          const it = await world(overlap);
          const { first } = await stopAt(it, call, mode);
          if (first !== "stopped") break;
          stops += 1;
          await it.expectReadable();
          it.clock.advance(200_000);
          await act(it);
          await it.expectSettled().catch((thrown: unknown) => {
            throw new Error(`after a stop at call ${call}`, { cause: thrown });
          });
        }
        expect(stops).toBeGreaterThan(30);
      });
    }

    test("and goes on after others have rotated twice, overwrites nothing", async () => {
      let thawed = 0;
      for (let call = 1; ; call += 1) {
        const it = await world(overlap);
        const { first, trap, doomed } = await stopAt(it, call, mode);
        if (first !== "stopped") break;
        it.clock.advance(200_000);
        await request(ref, it.ports, { kind: "cancel", by: "tester", insist: false });
        await it.finish("second");
        await it.rotate();
        await it.finish("second");
        trap.thaw();
        await doomed;
        thawed += 1;
        await it.finish("third");
        await it.expectSettled().catch((thrown: unknown) => {
          throw new Error(`after a thaw at call ${call}`, { cause: thrown });
        });
      }
      expect(thawed).toBeGreaterThan(30);
    });
  });
});
