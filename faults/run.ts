import type { PostgresServer } from "../integration/postgres-server.ts";
import type { Case, Ending, FollowUp } from "./cases.ts";
import { judge } from "./judge.ts";
import type { Lane } from "./lane.ts";
import type { Subject } from "./subjects.ts";
import type { Boundary, Fate } from "./wire.ts";
import type { WorkerProcess } from "./worker-process.ts";
import { Unsettled, World } from "./world.ts";

export interface Run {
  readonly ending: Ending;
  /** What is wrong, where something is. */
  readonly why: string;
  /** The call at whose boundary the fault struck. */
  readonly what: string;
}

/** What the requests at the moment of the fault have come to, and what has to be so in the end. */
export interface Told {
  /** The rotation that met the fault. */
  readonly first: string | undefined;
  /** The one that was begun after it. */
  second?: string | undefined;
  cancelled?: boolean;
  leaked?: { readonly version: string };
}

/** The boundaries of one rotation that nothing happens to, in their order. */
export async function dryPass(
  subject: Subject,
  lane: Lane,
  server: PostgresServer,
): Promise<readonly Boundary[]> {
  const world = await World.open(subject, lane, server);
  const told: Told = { first: await world.rotate() };
  const boundaries: Boundary[] = [];
  const worker = await lane.first();
  for (;;) {
    const until = await world.work(worker, async (boundary) => {
      boundaries.push(boundary);
      return world.pass(boundary);
    });
    if (until.said !== "rests") throw new Error(`a rotation without a fault fails: ${JSON.stringify(until)}`);
    if (until.until === undefined) break;
    world.later();
  }
  const { ending, why } = await judge(world, server, told);
  if (ending !== "converged") throw new Error(`a rotation without a fault is ${ending}: ${why}`);
  return boundaries;
}

/** One rotation that meets a fault at its n-th boundary, counted from 1. Undefined: it has ended before. */
export async function run(
  { fault, followUp }: Case,
  number: number,
  { subject, lane, server }: { subject: Subject; lane: Lane; server: PostgresServer },
): Promise<Run | undefined> {
  const world = await World.open(subject, lane, server);
  const told: Told = { first: await world.rotate() };
  const first = await lane.first();
  let calls = 0;
  let what = "";
  const thaw = Promise.withResolvers<Fate>();
  const struck = Promise.withResolvers<void>();
  const happen = async (): Promise<void> => {
    if (fault === "killed") await lane.killFirst();
    if (fault === "stopped") first.stop();
    await world.reader.look(`when the fault strikes at ${what}`);
    await strike[followUp](world, told);
  };
  const decide = async (boundary: Boundary): Promise<Fate | undefined> => {
    calls += 1;
    // A worker may make several at once: each keeps its own number.
    const call = calls;
    await world.pass(boundary);
    if (call !== number) return "go on";
    what = boundary.what;
    await happen().then(struck.resolve, struck.reject);
    switch (fault) {
      case "killed":
        return undefined;
      case "failed":
        return "fail";
      case "reply lost":
        return "lose the reply";
      case "stopped":
        return thaw.promise;
    }
  };
  const interrupted = work(world, first, decide, () => what !== "");
  // Whether they end well is asked below; until then they may fail in peace.
  interrupted.catch(() => undefined);
  struck.promise.catch(() => undefined);
  try {
    if ((await Promise.race([struck.promise, interrupted])) === "rested") return undefined;
    await struck.promise;
    const goesOn = fault === "killed" || fault === "stopped" ? lane.second : first;
    if (fault !== "stopped") await interrupted;
    world.later();
    await world.settle(goesOn);
    await afterwards[followUp](world, told, goesOn);
    if (fault === "stopped") {
      first.continue();
      thaw.resolve("go on");
      await interrupted;
      await world.reader.look("when the stopped worker has gone on");
      await world.settle(lane.second);
    }
    return { ...(await judge(world, server, told)), what };
  } catch (thrown) {
    const ending = thrown instanceof Unsettled ? thrown.ending : "stuck";
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    // Whatever it was in the middle of, it is not to meet the next run.
    await lane.killFirst();
    return { ending, why, what };
  }
}

/** The worker's own time passes until the fault has struck it; then it is not sent again. */
async function work(
  world: World,
  first: WorkerProcess,
  decide: (boundary: Boundary) => Promise<Fate | undefined>,
  hasStruck: () => boolean,
): Promise<"rested" | "interrupted"> {
  for (;;) {
    const ended = await world.work(first, decide);
    if (hasStruck()) return "interrupted";
    if (ended.said !== "rests") throw new Error(`it failed before the fault: ${JSON.stringify(ended)}`);
    if (ended.until === undefined) return "rested";
    world.later();
  }
}

type Act = (world: World, told: Told) => Promise<void>;

const cancel: Act = async (world, told) => {
  told.cancelled = (await world.cancel()) === "began";
};

/** What is asked for at the very moment, while the worker waits for its fate. */
const strike: Readonly<Record<FollowUp, Act>> = {
  retried: async () => undefined,
  cancelled: cancel,
  superseded: cancel,
  emergency: async (world, told) => {
    told.leaked = await world.leak();
  },
};

const another = async (world: World, told: Told, worker: WorkerProcess): Promise<void> => {
  told.second = await world.rotate();
  await world.settle(worker);
};

const afterwards: Readonly<
  Record<FollowUp, (world: World, told: Told, worker: WorkerProcess) => Promise<void>>
> = {
  retried: async () => undefined,
  cancelled: another,
  superseded: another,
  emergency: async () => undefined,
};
