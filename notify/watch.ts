import { asKeyturnError, type KeyturnError } from "../core/errors.ts";
import type { RotationEvent } from "../core/events.ts";
import type { Clock, Journal, Log, ManagedSecret } from "../core/ports.ts";
import type { NotifyChannel } from "../manifest/manifest.ts";
import { compare } from "./compare.ts";
import type { NotifyLedger } from "./ledger.ts";
import { recipients } from "./recipients.ts";

export interface WatchOptions {
  readonly channels: ReadonlyMap<string, NotifyChannel>;
  readonly secrets: {
    get(
      ref: string,
    ): (Pick<ManagedSecret, "tenant" | "policy"> & { readonly notify: readonly string[] }) | undefined;
    refs(): readonly string[];
  };
  readonly journal: Pick<Journal, "load">;
  readonly bus: {
    readEvents(
      after: number,
      limit: number,
    ): Promise<{ readonly events: readonly RotationEvent[]; readonly next: number }>;
    end(): Promise<number>;
  };
  readonly ledger: NotifyLedger;
  readonly clock: Pick<Clock, "now" | "sleep">;
  readonly log: Log;
  /** Channels that want to hear nothing more. */
  readonly gone: ReadonlySet<string>;
  /** There is something new for the channels. */
  readonly onTold: () => void;
  readonly pace: Pace;
}

export interface Pace {
  /** How often events are looked for. */
  readonly eventsMs: number;
  /** How often it is looked whether an open condition is over. */
  readonly openMs: number;
}

/** How long after all secrets were looked at they are looked at again: what no event spoke of is found then. */
const walkEveryMs = 10 * 60_000;
/** Secrets looked at between two looks for events: very many of them take longer, and delay nothing. */
const walkMax = 200;
const walkPauseMs = 100;
const eventsMax = 100;
const complainEveryMs = 60 * 60_000;
const complaintsMax = 1_000;

/** Finds out who must be told of what: from events at once, from the journal in any case. */
export class Watch {
  readonly #options: WatchOptions;
  #openLookAt = 0;
  #walkAt = 0;
  #toWalk: readonly string[] = [];
  readonly #complained = new Map<string, number>();

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  /** Ends with the signal. Whatever fails is logged and tried again. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, pace } = this.#options;
    while (!signal.aborted) {
      // Without events the journal still says what must be told.
      await this.#attempt("events cannot be read; the journal is looked at", () => this.#readEvents());
      await this.#attempt("notifications wait: they cannot be looked for", () => this.#look());
      const pause = this.#toWalk.length > 0 ? walkPauseMs : pace.eventsMs;
      await clock.sleep(pause, signal).catch(() => undefined);
    }
  }

  async #attempt(complaint: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      const { code, message } = asKeyturnError(thrown);
      this.#complain("warn", complaint, { code, message });
    }
  }

  /** Said now and then, however often it is so. */
  #complain(level: "warn" | "error", complaint: string, fields: Readonly<Record<string, string>>): void {
    const { clock, log } = this.#options;
    const key = JSON.stringify([complaint, fields]);
    const now = clock.now();
    if (now - (this.#complained.get(key) ?? Number.NEGATIVE_INFINITY) < complainEveryMs) return;
    if (this.#complained.size >= complaintsMax) this.#complained.clear();
    this.#complained.set(key, now);
    log(level, complaint, fields);
  }

  /** What is open, then some of all secrets. */
  async #look(): Promise<void> {
    const now = this.#options.clock.now();
    if (now >= this.#openLookAt) {
      this.#openLookAt = now + this.#options.pace.openMs;
      for (const ref of await this.#options.ledger.toldRefs()) await this.#inspect(ref);
    }
    await this.#walk(now);
  }

  async #walk(now: number): Promise<void> {
    if (this.#toWalk.length === 0 && now < this.#walkAt) return;
    if (this.#toWalk.length === 0) this.#toWalk = this.#options.secrets.refs();
    for (const ref of this.#toWalk.slice(0, walkMax)) await this.#inspect(ref);
    this.#toWalk = this.#toWalk.slice(walkMax);
    this.#walkAt = now + walkEveryMs;
  }

  /** The place moves on when all of a batch is kept: whoever dies before reads it again, and tells nobody twice. */
  async #readEvents(): Promise<void> {
    const { bus, ledger } = this.#options;
    for (;;) {
      const place = await ledger.place();
      // What was published before anybody asked to be told is told by the journal, if it still matters.
      if (place === undefined) return ledger.setPlace(await bus.end());
      const { events, next } = await bus.readEvents(place, eventsMax);
      for (const event of events) await this.#inspect(event.subject, event);
      if (next === place) return;
      await ledger.setPlace(next);
    }
  }

  async #inspect(ref: string, event?: RotationEvent): Promise<void> {
    const { secrets, ledger, channels, gone, clock, onTold } = this.#options;
    const managed = secrets.get(ref);
    const rows = await ledger.told(ref);
    if (managed === undefined && rows.length === 0) return;
    const loaded = managed === undefined ? undefined : await this.#load(ref);
    if (loaded === "unreadable") return;
    const now = clock.now();
    const names = managed?.notify ?? [];
    const change = compare({
      ref,
      managed,
      record: loaded?.record,
      told: rows.filter(({ channel }) => channels.has(channel)),
      recipients: (kind) => recipients(kind, names, channels, gone),
      event,
      now,
    });
    const strangers = rows.filter(({ channel }) => !channels.has(channel));
    const closed = [
      ...change.closed,
      ...strangers.map(({ channel, condition }) => ({ channel, key: condition.key })),
    ];
    if (change.tell.length + closed.length + change.told.length === 0) return;
    await ledger.record({ ...change, closed }, now);
    if (change.tell.length > 0) onTold();
  }

  /** A record that is broken must not keep the others from being told of; a journal that is out of reach comes back. */
  async #load(ref: string) {
    try {
      return await this.#options.journal.load(ref);
    } catch (thrown) {
      const error: KeyturnError = asKeyturnError(thrown);
      if (error.disposition === "retry") throw error;
      const { code, message } = error;
      this.#complain("error", "a record cannot be read: nobody is told of it", {
        secret: ref,
        code,
        message,
      });
      return "unreadable";
    }
  }
}
