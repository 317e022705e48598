import { describe, expect, test } from "vitest";
import { verifyChain } from "./audit.ts";
import { request, versionMark } from "./operate.ts";
import type { Ports } from "./ports.ts";
import { reconcile } from "./reconcile.ts";
import type { Rotator } from "./rotator.ts";

/** The one secret of a crash world. */
export const crashRef = "app/db";

export interface Login {
  readonly username: string;
  readonly password: string;
}

/** A Keyturn with one secret, fresh for each stop. */
export interface CrashWorld {
  readonly ports: Ports;
  readonly rotator: Rotator;
  advance(ms: number): void;
  accepts(login: Login): Promise<boolean>;
  /** Runs the work of the worker that will be stopped, so that its calls that are no port's can be caught by the trap too. */
  doomed?<Result>(trap: Trap, work: () => Promise<Result>): Promise<Result>;
  /** The process of the stopped worker is gone, and with it what it had open. */
  buried?(): Promise<void>;
}

/** Whether a stopped worker's last call was carried out. */
export type StopMode = "before" | "after";

interface CrashOptions {
  readonly overlap: "both-live" | "cutover";
  readonly open: () => Promise<CrashWorld>;
  /** Which stops to try; without it, all of them. */
  readonly picks?: (stop: {
    readonly call: number;
    readonly mode: StopMode;
    readonly what: string;
  }) => boolean;
  /** There must have been at least so many stops: a fault that never fires proves nothing. */
  readonly stopsMin: number;
  readonly timeoutMs: number;
}

/**
 * Stops a worker of a plain rotation at every call to the outside but reads, before and after it is carried out, and then retries, cancels, rolls back, strikes with
 * an emergency, or lets the worker go on when others have rotated twice. At every moment a reader finds a credential that works; in
 * the end exactly one value is accepted, it is current, and nothing is owed.
 */
export function describeCrashes(name: string, options: CrashOptions): void {
  const { picks = () => true, stopsMin, timeoutMs } = options;
  describe(`${name}: a worker that is stopped at any call but a read`, () => {
    describe.each(["before", "after"] as const)("%s the call is carried out", (mode) => {
      test.each(Object.entries(afterwards))(
        "loses nothing when %s",
        async (what, act) => {
          const stops = await everyStop(
            options,
            mode,
            (call) => picks({ call, mode, what }),
            async (world, stop) => {
              await world.own.buried?.();
              await world.expectReadable();
              world.own.advance(200_000);
              await act(world);
              stop.done();
            },
          );
          expect(stops).toBeGreaterThanOrEqual(stopsMin);
        },
        timeoutMs,
      );

      test(
        "overwrites nothing when it goes on after others have rotated twice",
        async () => {
          const picked = (call: number) => picks({ call, mode, what: "it goes on" });
          const stops = await everyStop(options, mode, picked, async (world, stop) => {
            world.own.advance(200_000);
            await request(crashRef, world.own.ports, { kind: "cancel", by: "tester", insist: false });
            await world.finish("second");
            await world.rotate();
            await world.finish("second");
            await stop.thaw();
            await world.finish("third");
            stop.done();
          });
          expect(stops).toBeGreaterThanOrEqual(stopsMin);
        },
        timeoutMs,
      );
    });
  });
}

type World = Awaited<ReturnType<typeof openWorld>>;

const afterwards: Readonly<Record<string, (world: World) => Promise<void>>> = {
  "the same rotation goes on": async (world) => world.finish("second"),
  "it is cancelled, and another begun": async (world) => {
    await request(crashRef, world.own.ports, { kind: "cancel", by: "tester", insist: false });
    await world.finish("second");
    await world.rotate();
    await world.finish("third");
  },
  "current turns out to be leaked": async (world) => {
    const version = await versionMark(crashRef, world.own.ports, "current");
    await request(crashRef, world.own.ports, { kind: "emergency", by: "tester", version, cutFirst: false });
    await world.finish("second");
  },
  "it is rolled back": async (world) => {
    await request(crashRef, world.own.ports, { kind: "rollback", by: "tester", insist: false });
    await world.finish("second");
  },
};

interface Stop {
  thaw(): Promise<void>;
  /** The act has come to its end. */
  done(): void;
}

/** Tries one stop after the other until the rotation ends before the stop is reached; gives how many there were. */
async function everyStop(
  options: CrashOptions,
  mode: StopMode,
  picked: (call: number) => boolean,
  act: (world: World, stop: Stop) => Promise<void>,
): Promise<number> {
  let stops = 0;
  for (let call = 1; ; call += 1) {
    if (!picked(call) && call < 400) continue;
    if (call >= 400) return stops;
    const world = await openWorld(options);
    const trap = new Trap(call, mode);
    const { first, doomed } = await runInto(trap, world);
    if (first !== "stopped") return stops;
    stops += 1;
    let ended = false;
    try {
      await act(world, {
        thaw: async () => {
          trap.thaw();
          await doomed;
        },
        done: () => {
          ended = true;
        },
      });
      await world.expectSettled();
    } catch (cause) {
      throw new Error(
        `after a stop at call ${call}, ${trap.where}${ended ? "" : ", before it came to its end"}`,
        { cause },
      );
    }
  }
}

/** A rotation by a worker that is stopped by the trap, if it gets that far. */
async function runInto(trap: Trap, { own, rotate, note }: World) {
  const rotator = trap.wrap("rotator", own.rotator);
  const ports: Ports = {
    ...own.ports,
    store: trap.wrap("store", own.ports.store),
    journal: trap.wrap("journal", own.ports.journal),
    bus: trap.wrap("bus", own.ports.bus),
    audit: trap.wrap("audit", own.ports.audit),
    rotators: { load: async () => rotator },
  };
  await rotate();
  const work = async () => {
    for (let turn = 0; turn < 200; turn += 1) {
      const { until } = await reconcile(crashRef, ports, { worker: "doomed" });
      if (until === undefined) return;
      own.advance(Math.max(1, until - own.ports.clock.now()));
    }
  };
  const doomed = (own.doomed?.(trap, work) ?? work()).catch(() => undefined);
  const first = await Promise.race([doomed.then(() => "ended"), trap.hasStopped.then(() => "stopped")]);
  await note();
  return { first, doomed };
}

/** Stops the caller at its n-th call to the outside, for ever or until `thaw`: a crash is a call that never returns. */
export class Trap {
  readonly hasStopped: Promise<void>;
  where = "never reached";
  readonly #stopAt: number;
  readonly #mode: StopMode;
  readonly #frozen: Promise<void>;
  #stopped: () => void = () => undefined;
  #thaw: () => void = () => undefined;
  #calls = 0;

  constructor(stopAt: number, mode: StopMode) {
    this.#stopAt = stopAt;
    this.#mode = mode;
    this.hasStopped = new Promise((resolve) => {
      this.#stopped = resolve;
    });
    this.#frozen = new Promise((resolve) => {
      this.#thaw = resolve;
    });
  }

  thaw(): void {
    this.#thaw();
  }

  async around<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
    this.#calls += 1;
    const call = this.#calls;
    await this.#here("before", call, what);
    const result = await work();
    await this.#here("after", call, what);
    return result;
  }

  wrap<Part extends object>(name: string, part: Part): Part {
    return new Proxy(part, {
      get: (owner, method) => {
        const found: unknown = Reflect.get(owner, method);
        // Reading changes nothing: a stop there is a stop at the call before or after it.
        const reads =
          method === "read" || method === "load" || /^check|Fields$|^accountOf$/.test(String(method));
        if (typeof found !== "function" || reads) return found;
        return (...args: unknown[]) =>
          this.around(`${name}.${String(method)}`, async () => Reflect.apply(found, owner, args));
      },
    });
  }

  async #here(when: StopMode, call: number, what: string): Promise<void> {
    if (call !== this.#stopAt || when !== this.#mode) return;
    this.where = `${when} ${what}`;
    this.#stopped();
    await this.#frozen;
  }
}

async function openWorld({ overlap, open }: CrashOptions) {
  const own = await open();
  const { ports } = own;
  const values = new Map<string, Login>();

  const loginOf = (json: string): Login => {
    const { username, password }: Login = JSON.parse(json);
    return { username, password };
  };
  const note = async (): Promise<void> => {
    for (const stage of ["current", "pending"] as const) {
      const stored = await ports.store.read(crashRef, stage);
      if (stored !== undefined) values.set(stored.version, loginOf(stored.value.reveal()));
    }
  };
  /** An agent that follows the readers' rule always finds a credential that works. */
  const expectReadable = async (): Promise<void> => {
    const stages = overlap === "both-live" ? (["current"] as const) : (["current", "pending"] as const);
    for (const stage of stages) {
      const stored = await ports.store.read(crashRef, stage);
      if (stored !== undefined && (await own.accepts(loginOf(stored.value.reveal())))) return;
    }
    throw new Error("no credential that an agent may read works");
  };
  const rotate = () => request(crashRef, ports, { kind: "rotate", by: "tester" });
  const finish = async (worker: string): Promise<void> => {
    for (let turn = 0; turn < 200; turn += 1) {
      const { until, record, result } = await reconcile(crashRef, ports, { worker });
      await note();
      await expectReadable();
      if (result === "waiting" && until === undefined) return;
      if (record.state.phase === "halted") throw new Error(`halted: ${record.state.reason}`);
      own.advance(Math.max(1, (until ?? 0) - ports.clock.now()));
    }
    throw new Error("it never ends");
  };
  const expectSettled = async (): Promise<void> => {
    const loaded = await ports.journal.load(crashRef);
    expect(loaded?.record.state.phase).toBe("idle");
    expect(loaded?.record.debts).toEqual([]);
    const current = await ports.store.read(crashRef, "current");
    expect(current?.version).toBe(loaded?.record.current?.version);
    expect(await ports.store.read(crashRef, "pending")).toBeUndefined();
    // By value: a rollback gives the old value a new version.
    const live = new Set<string>();
    for (const login of values.values()) if (await own.accepts(login)) live.add(JSON.stringify(login));
    expect([...live]).toEqual([JSON.stringify(loginOf(current?.value.reveal() ?? "null"))]);
    const { fault } = await verifyChain(crashRef, ports.audit.read(crashRef), loaded?.record.audit);
    expect(fault).toBeUndefined();
  };

  await rotate();
  await finish("first");
  return { own, note, rotate, finish, expectReadable, expectSettled };
}
