import { dirname, join } from "node:path";
import type { Opened, Started } from "./place.ts";
import { loadPlace, type PlaceName } from "./places.ts";
import { WorkerProcess } from "./worker-process.ts";

interface LaneOptions {
  readonly place: PlaceName;
  readonly started: Started;
  /** Where what a room keeps in files is. */
  readonly folder: string;
}

/** A room of its own with two workers. Several lanes run at once, and know nothing of one another. */
export class Lane implements AsyncDisposable {
  readonly #opened: Opened;
  /** The worker that never meets a fault. */
  readonly second: WorkerProcess;
  readonly #start: () => Promise<WorkerProcess>;
  #first: Promise<WorkerProcess>;

  private constructor(opened: Opened, second: WorkerProcess, start: () => Promise<WorkerProcess>) {
    this.#opened = opened;
    this.second = second;
    this.#start = start;
    this.#first = start();
  }

  static async open({ place, started, folder }: LaneOptions): Promise<Lane> {
    const address = await started.newRoom(folder);
    const opened = await (await loadPlace(place)).open(address);
    const compiled = join(dirname(folder), "compiled");
    const start = () => WorkerProcess.start({ place, address, compiled });
    return new Lane(opened, await start(), start);
  }

  /** The room, as it is for whoever looks on. */
  get ports(): Opened["ports"] {
    return this.#opened.ports;
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
    await this.#opened[Symbol.asyncDispose]();
  }
}
