import { asKeyturnError } from "../core/errors.ts";
import { parseEvent, type RotationEvent } from "../core/events.ts";
import { type AgentClock, backoffMs, type Chance, pause } from "./clock.ts";
import type { AgentLog } from "./log.ts";
import type { Transport } from "./transport.ts";

interface FeedOptions {
  readonly events: Transport["events"];
  readonly clock: AgentClock;
  readonly chance: Chance;
  readonly log: AgentLog;
  /** The stream is open, for the first time or again: what came before may have been missed. */
  readonly opened: () => void;
  readonly heard: (event: RotationEvent) => void;
}

const reopenBaseMs = 100;
const reopenMaxMs = 15_000;

/** Listens to the service's events for as long as the process wants to, and opens the stream again whenever it ends. */
export class Feed {
  readonly #options: FeedOptions;
  readonly #stop = new AbortController();
  #ignored = 0;

  constructor(options: FeedOptions) {
    this.#options = options;
    void this.#listen();
  }

  /** How many lines were no events of Keyturn. */
  get ignored(): number {
    return this.#ignored;
  }

  stop(): void {
    this.#stop.abort();
  }

  async #listen(): Promise<void> {
    const { events, clock, chance, log, opened } = this.#options;
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        const lines = await events(signal);
        opened();
        for await (const line of lines) {
          // A stream that says something works; one that only opens and ends again must not be opened without pause.
          failures = 0;
          this.#take(line);
        }
      } catch (thrown) {
        const error = asKeyturnError(thrown);
        const fields = { code: error.code, reason: error.message };
        if (failures === 1 && !signal.aborted) log("warn", "cannot listen to the service's events", fields);
      }
      if (!signal.aborted) await pause(clock, backoffMs(failures, reopenBaseMs, reopenMaxMs, chance));
    }
  }

  #take(line: string): void {
    if (line.trim() === "") return;
    try {
      const json: unknown = JSON.parse(line);
      this.#options.heard(parseEvent(json));
    } catch {
      this.#ignored += 1;
    }
  }
}
