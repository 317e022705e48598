import { asKeyturnError, KeyturnError } from "./errors.ts";
import type { Clock } from "./ports.ts";

/**
 * What rotators may keep from verb to verb of one run: connections, above all. It ends with the run, and at once when a
 * step fails or exceeds its deadline, so that nothing half-broken is used again.
 */
export class Session {
  readonly #controller = new AbortController();
  readonly #cleanups: (() => Promise<void> | void)[] = [];

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  readonly defer = (cleanup: () => Promise<void> | void): void => {
    this.#cleanups.push(cleanup);
  };

  /** Runs the work, or fails with `timeout` at the deadline whether or not the work ever comes back. */
  async within<Result>(
    clock: Clock,
    deadlineMs: number,
    what: string,
    work: () => Promise<Result>,
  ): Promise<Result> {
    const done = new AbortController();
    const deadline = clock.sleep(deadlineMs, done.signal).then(() => {
      throw new KeyturnError("timeout", `${what} did not end within ${deadlineMs} ms`);
    });
    try {
      return await Promise.race([work(), deadline]);
    } finally {
      done.abort();
      deadline.catch(() => undefined);
    }
  }

  /** Ends everything that was deferred, the last first. A cleanup that fails has nothing left to lose. */
  async close(thrown?: unknown): Promise<void> {
    if (thrown !== undefined) this.#controller.abort(asKeyturnError(thrown));
    for (const cleanup of this.#cleanups.splice(0).reverse()) {
      try {
        await cleanup();
      } catch {
        // The connection is gone either way.
      }
    }
  }
}
