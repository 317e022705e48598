import * as z from "zod/mini";
import { isGone, workerName } from "../cli/who.ts";
import { asKeyturnError } from "../core/errors.ts";
import type { Ports } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import { loadRotator } from "../rotators/registry.ts";
import type { Meet } from "./boundaries.ts";
import { managed, movedClock } from "./managed.ts";
import { isPlaceName, loadPlace, type PlaceName } from "./places.ts";
import { driverWithBoundaries } from "./postgres-boundaries.ts";
import { type Fate, type Job, Order, type Report } from "./wire.ts";

const Address = z.record(z.string(), z.string());

/** The process that is killed and stopped: a worker in a room of a place, which asks at every boundary what becomes of it. */
async function main(place: PlaceName, address: string): Promise<void> {
  const say = (report: Report): void => void process.send?.(report);
  const worker = workerName("faults");
  const waiting = new Map<number, (fate: Fate) => void>();
  let calls = 0;
  let isWatched = false;
  let movedMs = 0;
  const meet: Meet = async (boundary) => {
    if (!isWatched) return { fate: "go on", held: async () => undefined };
    calls += 1;
    const call = calls;
    const told = (report: Report): Promise<Fate> =>
      new Promise((go) => {
        waiting.set(call, go);
        say(report);
      });
    const fate = await told({ said: "at", call, ...boundary });
    return { fate, held: () => told({ said: "held", call }) };
  };
  driverWithBoundaries(meet);
  const opened = await (await loadPlace(place)).open(z.parse(Address, JSON.parse(address)), meet);

  const work = async (job: Job): Promise<void> => {
    const secret = managed({ ref: job.ref, type: job.type, config: job.config, admin: job.admin });
    const ports: Ports = {
      ...opened.ports,
      clock: movedClock(() => movedMs),
      log: () => undefined,
      secrets: { get: (ref) => (ref === job.ref ? secret : undefined), refs: () => [job.ref] },
      rotators: { load: loadRotator },
    };
    ({ isWatched, movedMs } = job);
    try {
      const { record, until } = await reconcile(job.ref, ports, { worker, isGone });
      const { state } = record;
      const why = state.phase === "halted" ? `${state.from}: ${state.code}: ${state.reason}` : "";
      say({ said: "rests", phase: state.phase, until, why });
    } catch (thrown) {
      const { code, message } = asKeyturnError(thrown);
      say({ said: "threw", code, message });
    }
  };
  process.on("message", (json) => {
    const order = z.parse(Order, json);
    if (order.do === "reconcile") return void work(order);
    const go = waiting.get(order.call);
    waiting.delete(order.call);
    go?.(order.fate);
  });
  // A supervisor that is gone gives no more orders.
  process.on("disconnect", () => process.exit(0));
  say({ said: "ready" });
}

const [, , place, address] = process.argv;
if (process.send !== undefined && place !== undefined && isPlaceName(place) && address !== undefined) {
  await main(place, address);
}
