import { type ChildProcess, fork, type StdioOptions } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import * as z from "zod/mini";
import type { Log } from "../core/ports.ts";
import { type WorkerOrder, WorkerReport } from "./worker.ts";

const restartMs = 200;
const restartMsMax = 10_000;
const watchMs = 1_000;
/** Longer than any pause of a healthy process on a crowded machine. */
const silentMs = 10_000;

/** Keeps one worker process alive, and hands the jobs of one that died to the next. */
export class WorkerProcess {
  readonly #manifestPath: string;
  readonly #log: Log;
  readonly #done: (ref: string, busyUntil: number | undefined) => void;
  readonly #underWay = new Set<string>();
  readonly #watchdog: NodeJS.Timeout;
  #child: ChildProcess | undefined;
  #heardAt = performance.now();
  #name: string | undefined;
  #deaths = 0;
  #stopping = false;

  constructor(manifestPath: string, log: Log, done: (ref: string, busyUntil: number | undefined) => void) {
    this.#manifestPath = manifestPath;
    this.#log = log;
    this.#done = done;
    this.#watchdog = setInterval(() => this.#replaceFrozen(), watchMs).unref();
    this.#start();
  }

  /** Whether the secret is in the worker's hands. */
  has(ref: string): boolean {
    return this.#underWay.has(ref);
  }

  get load(): number {
    return this.#underWay.size;
  }

  reconcile(ref: string): void {
    this.#underWay.add(ref);
    if (this.#name !== undefined) this.#order({ do: "reconcile", ref });
  }

  /** The manifest has changed; a worker that is about to start reads it anyway. */
  reload(): void {
    if (this.#name !== undefined) this.#order({ do: "reload" });
  }

  /** Lets the worker end what it has begun; after the time it is killed, which harms nothing. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#watchdog);
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    this.#order({ do: "stop" });
    await Promise.race([gone, sleep(graceMs, undefined, { ref: false })]);
    if (child.exitCode === null) child.kill("SIGKILL");
    await gone;
  }

  #start(): void {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    const file = fileURLToPath(new URL(`./worker.${extension}`, import.meta.url));
    // A key that was given by the environment is not handed on by it: others on the machine could read it there once more.
    const { KEYTURN_KEY: key, ...env } = process.env;
    const stdio = ["ignore", "ignore", "inherit", "ipc"] satisfies StdioOptions;
    const child = fork(file, [this.#manifestPath], { env, stdio });
    this.#child = child;
    this.#order({ do: "begin", key });
    child.on("message", (json) => this.#hear(z.parse(WorkerReport, json), child.pid));
    child.on("error", (error) =>
      this.#log("error", "the worker cannot be started", { message: error.message }),
    );
    child.on("exit", (code, signal) => void this.#ended(code, signal));
  }

  /** A worker that says nothing is frozen or spins: whatever it holds is safe with the next one. */
  #replaceFrozen(): void {
    if (this.#name === undefined || performance.now() - this.#heardAt < silentMs) return;
    this.#log("warn", "the worker is silent, and is replaced", { worker: this.#name });
    this.#child?.kill("SIGKILL");
  }

  #hear(report: WorkerReport, pid: number | undefined): void {
    this.#heardAt = performance.now();
    switch (report.said) {
      case "alive":
        return;
      case "ready":
        this.#name = report.worker;
        this.#log("info", "worker ready", { worker: report.worker, pid });
        for (const ref of this.#underWay) this.#order({ do: "reconcile", ref });
        return;
      case "log":
        this.#log(report.level, report.message, report.fields);
        return;
      case "done":
        this.#deaths = 0;
        this.#underWay.delete(report.ref);
        if (report.error !== undefined) this.#log("error", `${report.ref} cannot be worked on`, report.error);
        else this.#log("debug", "worked", { secret: report.ref, phase: report.phase });
        this.#done(report.ref, report.error === undefined ? report.busyUntil : Date.now() + restartMsMax);
        return;
    }
  }

  async #ended(code: number | null, signal: string | null): Promise<void> {
    this.#name = undefined;
    if (this.#stopping) return;
    this.#deaths += 1;
    this.#log("warn", "the worker is gone, another takes over", { code, signal });
    const pause = this.#deaths === 1 ? 0 : Math.min(restartMsMax, restartMs * 2 ** this.#deaths);
    await sleep(pause);
    if (!this.#stopping) this.#start();
  }

  #order(order: WorkerOrder): void {
    // An order that is lost with its worker is given again to the next one.
    this.#child?.send(order, () => undefined);
  }
}
