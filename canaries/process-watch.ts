import { existsSync } from "node:fs";
import { Worker } from "node:worker_threads";

/** Looks at the processes of this machine all the time, in a thread of its own, and writes what they show into a file. Linux only. */
export class ProcessWatch implements AsyncDisposable {
  readonly #thread: Worker | undefined;
  /** Holds once what begins is seen. */
  readonly isLooking: Promise<void>;

  constructor(file: string) {
    this.#thread = existsSync("/proc/loadavg")
      ? new Worker(new URL("./process-watch-thread.ts", import.meta.url), {
          workerData: { file },
          // Those of this process may be for it alone.
          execArgv: [],
        })
      : undefined;
    // It keeps no process alive.
    this.#thread?.unref();
    this.isLooking = new Promise((resolve, reject) => {
      this.#thread?.once("message", () => resolve());
      this.#thread?.once("error", reject);
      if (this.#thread === undefined) resolve();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread?.terminate();
  }
}
