import { timingSafeEqual } from "node:crypto";
import { inspect } from "node:util";

const shown = "[secret]";

/**
 * A value that must not be seen. However it is printed, logged, serialized or put into a template it reads
 * `[secret]`; only `reveal()` gives the value, and it is called at the last moment, by the code that sends it.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself. Never keep the result in anything that lives longer than the call it is for. */
  reveal(): string {
    return this.#value;
  }

  /** Compares without telling by its duration where the two differ. */
  equals(other: Secret): boolean {
    const mine = Buffer.from(this.#value);
    const theirs = Buffer.from(other.#value);
    return mine.length === theirs.length && timingSafeEqual(mine, theirs);
  }

  toString(): string {
    return shown;
  }

  toJSON(): string {
    return shown;
  }

  [inspect.custom](): string {
    return shown;
  }
}
