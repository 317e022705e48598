import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { type OpenManifest, openManifest } from "../cli/open.ts";
import { request, versionMark } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import { reconcile, type StepUnderWay } from "../core/reconcile.ts";
import type { RotationRecord } from "../core/record.ts";
import type { CommandPlace } from "./command-place.ts";

/** What a test arranges in a place of the command's, in this process and by the same files: where it takes many steps, a command for each is slow. */
export async function within<Result>(
  place: CommandPlace,
  work: (opened: OpenManifest) => Promise<Result>,
): Promise<Result> {
  process.env.XDG_CONFIG_HOME = place.environment.XDG_CONFIG_HOME;
  await using opened = await openManifest(place.manifestPath);
  return work(opened);
}

/** Where a worker dies: before it begins a step, or with the step done and nothing of it on record. */
export type Death = readonly [when: "before" | "after", step: StepUnderWay["step"]];

/** What begins that much later is the next rotation by its schedule, or waits for somebody. */
const scheduledMs = 60_000;

/** A worker as its machine knows it that is no more: nobody waits for its lease. */
const dead = `worker:${hostname()}:${2 ** 30}:dead`;

/** Asks for a rotation, for its end or what is owed to be paid now, or says that current has leaked; nobody works on it yet. */
export async function ask(
  ports: Ports,
  ref: string,
  kind: "rotate" | "cancel" | "retire" | "leak" | "cut first",
): Promise<void> {
  const by = "person:test";
  switch (kind) {
    case "rotate":
      return void (await request(ref, ports, { kind, by }));
    case "cancel":
    case "retire":
      return void (await request(ref, ports, { kind, by, insist: true }));
    case "leak":
    case "cut first":
      return emergency(ports, ref, kind === "cut first");
  }
}

async function emergency(ports: Ports, ref: string, cutFirst: boolean): Promise<void> {
  const version = await versionMark(ref, ports, "current");
  await request(ref, ports, { kind: "emergency", by: "person:test", version, cutFirst });
}

/** Works on a secret until that point, and dies there. */
export async function dieAt(ports: Ports, ref: string, [when, step]: Death): Promise<void> {
  const death = new Error(`it dies ${when} ${step}`);
  const options: Parameters<typeof reconcile>[2] = {
    worker: dead,
    trace: async (under, carryOut) => {
      if (under.step !== step) return carryOut();
      if (when === "after") await carryOut();
      throw death;
    },
  };
  try {
    await toTheEnd(ports, ref, options);
  } catch (thrown) {
    if (thrown === death) return;
    throw thrown;
  }
  throw new Error(`${ref} came to its end before a worker could die ${when} ${step}`);
}

/** Works on a secret until there is nothing left to do, or until it is in that phase. */
export function settle(
  ports: Ports,
  ref: string,
  phase?: RotationRecord["state"]["phase"],
): Promise<RotationRecord> {
  return toTheEnd(ports, ref, { worker: "tester", isGone: () => true }, phase);
}

async function toTheEnd(
  ports: Ports,
  ref: string,
  options: Parameters<typeof reconcile>[2],
  phase?: RotationRecord["state"]["phase"],
): Promise<RotationRecord> {
  for (const giveUpAt = performance.now() + 60_000; ; ) {
    const { until, record, result } = await reconcile(ref, ports, options);
    const wait = (until ?? Number.POSITIVE_INFINITY) - ports.clock.now();
    if (result === "waiting" && (wait > scheduledMs || record.state.phase === phase)) return record;
    if (performance.now() > giveUpAt) throw new Error(`${ref} does not come to rest: ${record.state.phase}`);
    await sleep(Math.min(200, Math.max(5, wait)));
  }
}
