import { asKeyturnError } from "../core/errors.ts";
import type { Journal, Log } from "../core/ports.ts";

interface Workshop {
  has(ref: string): boolean;
  readonly load: number;
  reconcile(ref: string): void;
}

/** Other processes write the journal too, and their word may be lost: look at least this often. */
const lookMs = 1_000;
/** Whether the other worker still lives is asked this often. */
const lookInMs = 5_000;
/** Secrets worked on at once. */
const loadMax = 16;

/** Finds what is due and hands it to the worker. It never reads more than what is due. */
export class Scheduler {
  readonly #journal: Pick<Journal, "due" | "nextDueAt">;
  readonly #workshop: Workshop;
  readonly #now: () => number;
  readonly #log: Log;
  /** Secrets in another worker's hands, and until when. */
  readonly #busy = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(journal: Pick<Journal, "due" | "nextDueAt">, workshop: Workshop, now: () => number, log: Log) {
    this.#journal = journal;
    this.#workshop = workshop;
    this.#now = now;
    this.#log = log;
  }

  /** Somebody says that there is work: also on what another worker had in hand. */
  wake(): void {
    this.#busy.clear();
    this.#lookSoon();
  }

  done(ref: string, busyUntil: number | undefined): void {
    if (busyUntil !== undefined) this.#busy.set(ref, Math.min(busyUntil, this.#now() + lookInMs));
    this.#lookSoon();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  /** Asked while it looks, it looks once more. */
  #lookSoon(): void {
    this.#again = true;
    this.#looking ??= this.#look()
      .catch((thrown: unknown) => this.#missed(thrown))
      .finally(() => {
        this.#looking = undefined;
      });
  }

  /** A journal that cannot be read now is looked at again soon; nothing else would wake this. */
  #missed(thrown: unknown): void {
    const { code, message } = asKeyturnError(thrown);
    this.#log("warn", "due work cannot be looked for", { code, message });
    if (!this.#stopped) this.#timer = setTimeout(() => this.#lookSoon(), lookMs);
  }

  async #look(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false;
      clearTimeout(this.#timer);
      const now = this.#now();
      const room = loadMax - this.#workshop.load;
      for (const [ref, until] of this.#busy) if (until <= now) this.#busy.delete(ref);
      // Those in other hands stay due and come first: they must not hide the others.
      const due = await this.#journal.due(now, loadMax * 4 + this.#busy.size);
      const free = due.filter((ref) => !this.#workshop.has(ref) && (this.#busy.get(ref) ?? 0) <= now);
      for (const ref of free.slice(0, Math.max(0, room))) this.#workshop.reconcile(ref);
      const next = await this.#journal.nextDueAt();
      const pause = next === undefined ? lookMs : Math.min(lookMs, Math.max(20, next - this.#now()));
      if (!this.#stopped) this.#timer = setTimeout(() => this.#lookSoon(), free.length > 0 ? lookMs : pause);
    }
  }
}
