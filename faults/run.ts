import type { Case, Course, Ending, FollowUp } from "./cases.ts";
import { begin } from "./course.ts";
import { isFollowed, type Told } from "./due.ts";
import { judge } from "./judge.ts";
import type { Lane } from "./lane.ts";
import type { Subject } from "./subject.ts";
import type { Boundary, Fate } from "./wire.ts";
import type { Decide, WorkerProcess } from "./worker-process.ts";
import { Unsettled, World } from "./world.ts";

export interface Run {
  readonly ending: Ending;
  /** What is wrong, where something is. */
  readonly why: string;
  /** The call at whose boundary the fault struck. */
  readonly what: string;
  /** How often the reader has looked from then on. */
  readonly looks: number;
}

/** A boundary with the state in which the record is when the worker comes to it. */
export type Numbered = Boundary & { readonly phase: string };

/** The boundaries of one course that nothing happens to, in their order; a reader looks at every one of them. */
export async function dryPass(course: Course, subject: Subject, lane: Lane): Promise<readonly Numbered[]> {
  const world = await World.open(subject, lane);
  const told = await begin(course, world, lane);
  const boundaries: Numbered[] = [];
  const worker = await lane.first();
  for (;;) {
    const until = await world.work(worker, async (boundary) => {
      const number = boundaries.length;
      boundaries.push({ ...boundary, phase: "" });
      const { state } = await world.record();
      boundaries[number] = { ...boundary, phase: state.phase };
      return world.pass(boundary);
    });
    if (until.said !== "rests") throw new Error(`without a fault it fails: ${JSON.stringify(until)}`);
    if (until.until === undefined) break;
    world.later();
  }
  await afterwards(course, "retried", world, told, worker);
  const { ending, why } = await judge(world, told);
  if (ending !== (course === "undo" ? "undone" : "converged")) {
    throw new Error(`without a fault it is ${ending}: ${why}`);
  }
  return boundaries;
}

/** One course that meets a fault at its n-th boundary, counted from 1. Undefined: it has ended before. */
export async function run(
  { course, fault, followUp }: Case,
  number: number,
  { subject, lane }: { readonly subject: Subject; readonly lane: Lane },
): Promise<Run | undefined> {
  const world = await World.open(subject, lane);
  const told = await begin(course, world, lane);
  const first = await lane.first();
  let calls = 0;
  let what = "";
  let looked = 0;
  const thaw = Promise.withResolvers<Fate>();
  const struck = Promise.withResolvers<void>();
  const happen = async (): Promise<void> => {
    if (fault === "killed" || fault === "killed amid") await lane.killFirst();
    if (fault === "stopped") first.stop();
    looked = world.reader.looks;
    await world.reader.look(`when the fault strikes at ${what}`);
    told.phase = (await world.record()).state.phase;
    told.followUp = followUp;
    await strike[followUp](world, told);
  };
  const decide: Decide = async (boundary, hold) => {
    calls += 1;
    // Several calls may be under way at once, and each has its own number.
    if (calls !== number) return what === "" ? "go on" : world.pass(boundary);
    what = boundary.what;
    if (fault === "reply lost") await hold("carry out");
    if (fault === "killed amid") await hold("send");
    await happen().then(struck.resolve, struck.reject);
    switch (fault) {
      case "killed":
      case "killed amid":
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
    const isGone = fault === "killed" || fault === "killed amid";
    const goesOn = isGone || fault === "stopped" ? lane.second : first;
    if (fault !== "stopped") await interrupted;
    world.later();
    await world.settle(goesOn);
    await afterwards(course, followUp, world, told, goesOn);
    if (fault === "stopped") {
      first.continue();
      thaw.resolve("go on");
      await interrupted;
      await world.reader.look("when the stopped worker has gone on");
      await world.settle(lane.second);
    }
    return { ...(await judge(world, told)), what, looks: world.reader.looks - looked };
  } catch (thrown) {
    const ending = thrown instanceof Unsettled ? thrown.ending : "stuck";
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    // Whatever it was in the middle of, it is not to meet the next run.
    await lane.killFirst();
    return { ending, why, what, looks: world.reader.looks - looked };
  }
}

/** The worker's own time passes until the fault has struck it; then it is not sent again. */
async function work(
  world: World,
  first: WorkerProcess,
  decide: Decide,
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
  told.answer = await world.cancel();
};

/** What is asked for at the very moment, while the worker waits for its fate. */
const strike: Readonly<Record<FollowUp, Act>> = {
  retried: async () => undefined,
  overtaken: async () => undefined,
  cancelled: cancel,
  superseded: cancel,
  emergency: async (world, told) => {
    const { version } = await world.leak({ cutFirst: false });
    told.leaked = { version, cutFirst: false };
  },
};

/** Where something was to be taken back another rotation has its place; and where the first worker is to be overtaken. */
async function afterwards(
  course: Course,
  followUp: FollowUp,
  world: World,
  told: Told,
  worker: WorkerProcess,
): Promise<void> {
  if (course !== "undo" && !isFollowed(followUp)) return;
  told.second = await world.rotate();
  await world.settle(worker);
}
