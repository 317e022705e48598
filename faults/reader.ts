import type { SecretStore } from "../core/ports.ts";
import type { Target } from "./subject.ts";

/** Where it found no credential that works, and which version was current then. */
interface Failure {
  readonly where: string;
  readonly current: string | undefined;
}

/**
 * A client that knows only the readers' rules: current; of a cutover type pending when current is refused, and then current again. It remembers every
 * value that it has ever read, so that the end can ask which of them still work.
 */
export class Reader {
  readonly failures: Failure[] = [];
  /** How often it has looked. */
  looks = 0;
  readonly #seen = new Set<string>();
  readonly #ref: string;
  readonly #store: SecretStore;
  readonly #target: Pick<Target, "accepts">;
  readonly #isCutover: boolean;

  constructor(
    ref: string,
    store: SecretStore,
    target: Pick<Target, "accepts">,
    overlap: "both-live" | "cutover",
  ) {
    this.#ref = ref;
    this.#store = store;
    this.#target = target;
    this.#isCutover = overlap === "cutover";
  }

  /** Logs in by the rules. */
  async look(where: string): Promise<void> {
    this.looks += 1;
    const current = await this.#store.read(this.#ref, "current");
    const first = await this.current();
    const pending = await this.#read("pending");
    if (first !== undefined && (await this.#target.accepts(first))) return;
    if (this.#isCutover) {
      if (pending !== undefined && (await this.#target.accepts(pending))) return;
      const again = await this.current();
      if (again !== undefined && (await this.#target.accepts(again))) return;
    }
    this.failures.push({ where, current: current?.version });
  }

  /** Which of all values ever read the target accepts now. */
  async live(): Promise<readonly string[]> {
    const live: string[] = [];
    for (const value of this.#seen) if (await this.#target.accepts(value)) live.push(value);
    return live;
  }

  /** The value that is current now. */
  async current(): Promise<string | undefined> {
    return this.#read("current");
  }

  async #read(stage: "current" | "pending"): Promise<string | undefined> {
    const stored = await this.#store.read(this.#ref, stage);
    const value = stored?.value.reveal();
    if (value !== undefined) this.#seen.add(value);
    return value;
  }
}
