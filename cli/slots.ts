import { setTimeout as sleep } from "node:timers/promises";

/**
 * Lets so many work at once. One that takes longer than its slice goes on, and makes room for the next: what does not answer must not
 * keep out what would.
 */
export class Slots {
  #free: number;
  readonly #sliceMs: number;
  readonly #waiting: (() => void)[] = [];

  constructor(most: number, sliceMs: number) {
    this.#free = most;
    this.#sliceMs = sliceMs;
  }

  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const ended = new AbortController();
    const working = work().finally(() => ended.abort());
    sleep(this.#sliceMs, undefined, { signal: ended.signal }).then(
      () => this.#leave(),
      () => this.#leave(),
    );
    return working;
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}
