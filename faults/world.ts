import { setTimeout as sleep } from "node:timers/promises";
import { adopt } from "../core/adopt.ts";
import { request, storeValue, versionMark } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";
import type { Answer } from "../core/request.ts";
import { rotationOf } from "../core/transition.ts";
import { loadRotator } from "../rotators/registry.ts";
import type { Lane } from "./lane.ts";
import { managed, movedClock } from "./managed.ts";
import { Reader } from "./reader.ts";
import type { Subject, Target } from "./subject.ts";
import type { Boundary } from "./wire.ts";
import type { Decide, WorkerProcess } from "./worker-process.ts";

/** It does not come to rest by itself. */
export class Unsettled extends Error {
  readonly ending: "halted" | "stuck";

  constructor(ending: "halted" | "stuck", message: string) {
    super(message);
    this.ending = ending;
  }
}

const turnsMax = 100;
/** From then on something waits that no clock of ours moves. */
const skippedTurns = 30;
let worlds = 0;
let arranged: Promise<unknown> = Promise.resolve();

/** One after the other: who arranges has one session. */
function arrange(subject: Subject): Promise<Target> {
  const arranging = arranged.then(() => subject.arrange());
  arranged = arranging.catch(() => undefined);
  return arranging;
}

/** One secret with a target and an administering login of its own, under Keyturn, its first credential in use. */
export class World {
  readonly ref: string;
  readonly ports: Ports;
  readonly reader: Reader;
  readonly target: Target;
  readonly #subject: Subject;
  #movedMs = 0;

  private constructor(ref: string, subject: Subject, target: Target, lane: Lane) {
    this.ref = ref;
    this.target = target;
    this.#subject = subject;
    const secret = managed({ ref, type: subject.type, config: target.config, admin: this.#adminRef });
    this.ports = {
      ...lane.ports,
      clock: movedClock(() => this.#movedMs),
      log: () => undefined,
      secrets: { get: (name) => (name === ref ? secret : undefined), refs: () => [ref] },
      rotators: { load: loadRotator },
    };
    this.reader = new Reader(ref, lane.ports.store, target, subject.overlap);
  }

  static async open(subject: Subject, lane: Lane): Promise<World> {
    // Taken before anything else is waited for: several worlds are opened at once, and may be in one and the same Secrets Manager.
    worlds += 1;
    const ref = `faults/${worlds}`;
    const world = new World(ref, subject, await arrange(subject), lane);
    const { target } = world;
    await storeValue(world.#adminRef, world.ports, target.admin, {});
    if (target.administersItself) await adopt(world.ref, world.ports, target.admin, "faults");
    await world.rotate();
    for (let turn = 0; turn < turnsMax; turn += 1) {
      if (await world.#turn(lane.second)) break;
    }
    await world.reader.look("before the fault");
    return world;
  }

  /** Asks for a rotation; gives its version where it begins at once. */
  async rotate(): Promise<string | undefined> {
    const { record } = await request(this.ref, this.ports, { kind: "rotate", by: "faults" });
    return rotationOf(record.state)?.id;
  }

  async cancel(): Promise<Answer["answer"]> {
    const { answer } = await request(this.ref, this.ports, { kind: "cancel", by: "faults", insist: false });
    return answer;
  }

  /** Asks for the value from before; gives the version that it is to have, where that begins at once. */
  async rollBack(): Promise<string | undefined> {
    const what = { kind: "rollback", by: "faults", insist: false } as const;
    const { record } = await request(this.ref, this.ports, what);
    return rotationOf(record.state)?.id;
  }

  /** The value that is current at this moment has leaked; gives which it was, and the rotation that is under way then. */
  async leak({ cutFirst }: { readonly cutFirst: boolean }): Promise<{
    readonly version: string;
    readonly successor: string | undefined;
  }> {
    const version = await versionMark(this.ref, this.ports, "current");
    const what = { kind: "emergency", by: "faults", version, cutFirst } as const;
    const { record } = await request(this.ref, this.ports, what);
    return { version: version.version, successor: rotationOf(record.state)?.id };
  }

  /** So much later that no lease holds anybody any more. */
  later(): void {
    this.#movedMs += 200_000;
  }

  async record(): Promise<RotationRecord> {
    const loaded = await this.ports.journal.load(this.ref);
    if (loaded === undefined) throw new Error(`${this.ref} has no record`);
    return loaded.record;
  }

  /** Lets a worker go on until there is nothing left to do, a reader looking on; every wait is skipped, but the target's own for a session that a stopped worker has left there. */
  async settle(worker: WorkerProcess): Promise<void> {
    for (let turn = 0; turn < turnsMax; turn += 1) {
      if (await this.#turn(worker, async (boundary) => this.pass(boundary))) return;
      if (turn >= skippedTurns) await sleep(1_000);
    }
    const { state } = await this.record();
    throw new Unsettled("stuck", `does not come to rest: ${state.phase}`);
  }

  /** A boundary at which nothing happens but that a reader looks. */
  async pass({ what }: Boundary): Promise<"go on"> {
    await this.reader.look(`at ${what}`);
    return "go on";
  }

  /** One piece of work of a worker; true when there is nothing left to do. */
  async #turn(worker: WorkerProcess, decide?: Decide): Promise<boolean> {
    const ended = await this.work(worker, decide);
    if (ended.said === "gone") throw new Error("a worker is gone that nobody has killed");
    if (ended.said === "threw") {
      this.#movedMs += 1_000;
      return false;
    }
    if (ended.phase === "halted") throw new Unsettled("halted", `halted in ${ended.why}`);
    if (ended.until === undefined) return true;
    this.#movedMs += Math.max(1, ended.until - this.ports.clock.now());
    return false;
  }

  work(worker: WorkerProcess, decide?: Decide) {
    const { ref, target } = this;
    const admin = this.#adminRef;
    const job = { ref, type: this.#subject.type, config: target.config, admin, movedMs: this.#movedMs };
    return worker.reconcile(job, decide);
  }

  get #adminRef(): string {
    return this.target.administersItself ? this.ref : `${this.ref}/admin`;
  }
}
