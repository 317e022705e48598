import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import * as z from "zod/mini";
import type { Address } from "./place.ts";
import type { PlaceName } from "./places.ts";
import { type Boundary, type Fate, type Job, type Order, Report } from "./wire.ts";

interface WorkerRoom {
  readonly place: PlaceName;
  readonly address: Address;
  /** Where compiled code is kept. */
  readonly compiled: string;
}

/** How a piece of work has ended; `gone` is the end of the process. */
export type Ended = Extract<Report, { said: "rests" | "threw" }> | { readonly said: "gone" };

/** Decides what becomes of a call, which may be held first: carried out or sent, without its reply. Undefined: never, the process is gone. */
export type Decide = (
  boundary: Boundary,
  hold: (fate: "carry out" | "send") => Promise<void>,
) => Promise<Fate | undefined>;

/** A worker process, in the hands of whoever started it. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  #decide: Decide = async () => "go on";
  #ended: (ended: Ended) => void = () => undefined;
  #failed: (reason: unknown) => void = () => undefined;
  #ready: () => void = () => undefined;
  readonly #held = new Map<number, () => void>();
  readonly #isReady: Promise<void>;

  private constructor({ place, address, compiled }: WorkerRoom) {
    const file = fileURLToPath(new URL("./worker.ts", import.meta.url));
    this.#child = fork(file, [place, JSON.stringify(address)], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
      // Very many are started: what was compiled for one is there for the next.
      env: { ...process.env, NODE_COMPILE_CACHE: compiled },
    });
    this.#isReady = new Promise((resolve, reject) => {
      this.#ready = resolve;
      this.#child.once("exit", () => reject(new Error("a worker ended before it was ready")));
    });
    this.#child.on("message", (json) => this.#hear(z.parse(Report, json)));
    this.#child.on("exit", () => this.#ended({ said: "gone" }));
  }

  static async start(room: WorkerRoom): Promise<WorkerProcess> {
    const started = new WorkerProcess(room);
    process.once("exit", started.kill);
    started.#child.once("exit", () => process.off("exit", started.kill));
    await started.#isReady;
    return started;
  }

  /** Gives the worker a piece of work, one at a time; `decide` is asked at every boundary, where there is one. */
  async reconcile(job: Omit<Job, "isWatched">, decide?: Decide): Promise<Ended> {
    this.#decide = decide ?? (async () => "go on");
    const ended = new Promise<Ended>((resolve, reject) => {
      this.#ended = resolve;
      this.#failed = reject;
    });
    this.#order({ do: "reconcile", ...job, isWatched: decide !== undefined });
    return ended;
  }

  /** SIGKILL: nothing of it runs any more. */
  readonly kill = (): void => {
    this.#child.kill("SIGKILL");
  };

  /** SIGSTOP: nothing of it runs until it is continued. */
  stop(): void {
    this.#child.kill("SIGSTOP");
  }

  continue(): void {
    this.#child.kill("SIGCONT");
  }

  #hear(report: Report): void {
    if (report.said === "ready") this.#ready();
    else if (report.said === "at") this.#meet(report).catch(this.#failed);
    else if (report.said === "held") this.#held.get(report.call)?.();
    else this.#ended(report);
  }

  async #meet({ call, ...boundary }: Extract<Report, { said: "at" }>): Promise<void> {
    const hold = async (fate: "carry out" | "send"): Promise<void> => {
      const held = new Promise<void>((resolve) => this.#held.set(call, resolve));
      this.#order({ do: "meet", call, fate });
      await held;
      this.#held.delete(call);
    };
    const fate = await this.#decide(boundary, hold);
    if (fate !== undefined) this.#order({ do: "meet", call, fate });
  }

  #order(order: Order): void {
    // To one that is gone nothing needs to be said.
    this.#child.send(order, () => undefined);
  }
}
