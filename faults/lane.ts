import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { type LocalStore, openLocal } from "../local/open.ts";
import { WorkerProcess } from "./worker-process.ts";

/** A real local store with two workers of its own. Several lanes run at once, and know nothing of one another. */
export class Lane implements AsyncDisposable {
  readonly local: LocalStore;
  /** The worker that never meets a fault. */
  readonly second: WorkerProcess;
  readonly #start: () => Promise<WorkerProcess>;
  #first: Promise<WorkerProcess>;

  private constructor(local: LocalStore, second: WorkerProcess, start: () => Promise<WorkerProcess>) {
    this.local = local;
    this.second = second;
    this.#start = start;
    this.#first = start();
  }

  static async open(directory: string): Promise<Lane> {
    mkdirSync(directory);
    const path = join(directory, "data");
    // The key is kept apart from the data, here as everywhere.
    const configuration = join(directory, "config");
    const local = await openLocal({ path, create: true, environment: { XDG_CONFIG_HOME: configuration } });
    const compiled = join(dirname(directory), "compiled");
    const start = () => WorkerProcess.start({ path, configuration, compiled });
    return new Lane(local, await start(), start);
  }

  /** The worker that meets the fault. */
  async first(): Promise<WorkerProcess> {
    return this.#first;
  }

  /** Kills the first worker, and starts another in its place. */
  async killFirst(): Promise<void> {
    const first = await this.#first;
    first.kill();
    this.#first = this.#start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    (await this.#first).kill();
    this.second.kill();
    await this.local.close();
  }
}
