import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import type { SecretReply } from "../core/protocol.ts";
import { AgentSecret } from "./agent-secret.ts";
import { type AgentClock, backoffMs, type Chance } from "./clock.ts";
import type { AgentLog } from "./log.ts";

/** A value that may be used until `expiresAt`. One object for each secret, changed in place, so that a reader may keep it. */
export interface Cached {
  secret: AgentSecret;
  /** The secret in a promise that is settled already: a warm read gives it away as it is. */
  settled: Promise<AgentSecret>;
  expiresAt: number;
}

/** A new version is in the cache. */
export interface RotationNotice {
  readonly ref: string;
  readonly version: string;
  readonly previous: string;
  readonly urgent: boolean;
}

export interface CacheOptions {
  readonly read: (ref: string) => Promise<SecretReply | undefined>;
  readonly clock: AgentClock;
  readonly chance: Chance;
  readonly log: AgentLog;
  /** Never keeps a value longer than this, whatever the service allows. */
  readonly cacheTtlMs: number;
  /** Over how long the reads that follow an event are spread. */
  readonly spreadMs: number;
  readonly changed: (notice: RotationNotice) => void;
  /** A value came to the end of its life, and no newer one could be read. */
  readonly expired: (ref: string) => void;
  /** Told with every value that is read. */
  readonly ttlSeen: (ttlMs: number) => void;
}

interface Entry {
  readonly ref: string;
  cached: Cached | undefined;
  /** The last version that was read, kept beyond its life to notice a change. */
  lastVersion: string | undefined;
  ttlMs: number;
  /** The read under way, and the one that must begin after it. */
  flight: Promise<Cached> | undefined;
  followUp: Promise<Cached> | undefined;
  failures: number;
  callOff: () => void;
  hint: { readonly at: number; readonly callOff: () => void } | undefined;
  urgent: boolean;
  dropped: boolean;
}

const refreshAt = 0.75;
const refreshMinMs = 20;
const retryBaseMs = 250;
const retryMaxMs = 10_000;
const urgentShare = 0.1;
const nothing = () => undefined;

/**
 * What one process has read, each value until its time to live ends and never longer. It is measured from before the read
 * began, on a clock that only runs forward. Values are read again ahead of time in the background; that is also the slow
 * pulse that makes up for events that were lost.
 */
export class Cache {
  readonly #options: CacheOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: CacheOptions) {
    this.#options = options;
  }

  /** The cached value while it lives, else the store's; any number of callers share one read. */
  async read(ref: string): Promise<Cached> {
    const entry = this.#entry(ref);
    const { cached } = entry;
    if (cached !== undefined && cached.expiresAt > this.#options.clock.now()) return cached;
    return this.#fly(entry);
  }

  /** The store's value by a read that begins after this call; callers share it. */
  refresh(ref: string): Promise<Cached> {
    const entry = this.#entry(ref);
    if (entry.flight === undefined) return this.#fly(entry);
    entry.followUp ??= entry.flight.catch(nothing).then(() => {
      entry.followUp = undefined;
      return this.#fly(entry);
    });
    return entry.followUp;
  }

  /** The version that is cached now. */
  version(ref: string): string | undefined {
    return this.#entries.get(ref)?.cached?.secret.version;
  }

  /** A reason to read the store soon: after a random time within the spread, so that a fleet does not read all at once. */
  hint(ref: string, urgent: boolean): void {
    const entry = this.#entries.get(ref);
    if (entry?.lastVersion === undefined) return;
    const { clock, chance, spreadMs } = this.#options;
    const window = Math.min(entry.ttlMs, spreadMs) * (urgent ? urgentShare : 1);
    const waitMs = chance() * window;
    const at = clock.now() + waitMs;
    entry.urgent ||= urgent;
    if (entry.hint !== undefined && entry.hint.at <= at) return;
    entry.hint?.callOff();
    const callOff = clock.after(waitMs, () => {
      entry.hint = undefined;
      if (!entry.dropped) this.refresh(ref).catch(nothing);
    });
    entry.hint = { at, callOff };
  }

  /** As if an event had come for every secret: some may have been missed. */
  hintAll(): void {
    for (const ref of this.#entries.keys()) this.hint(ref, false);
  }

  /** Forgets one secret, its value and its timers. */
  drop(ref: string): void {
    const entry = this.#entries.get(ref);
    if (entry === undefined) return;
    this.#entries.delete(ref);
    entry.dropped = true;
    entry.cached = undefined;
    entry.callOff();
    entry.hint?.callOff();
  }

  wipe(): void {
    for (const ref of [...this.#entries.keys()]) this.drop(ref);
  }

  #entry(ref: string): Entry {
    const known = this.#entries.get(ref);
    if (known !== undefined) return known;
    const entry: Entry = {
      ref,
      cached: undefined,
      lastVersion: undefined,
      ttlMs: this.#options.cacheTtlMs,
      flight: undefined,
      followUp: undefined,
      failures: 0,
      callOff: nothing,
      hint: undefined,
      urgent: false,
      dropped: false,
    };
    this.#entries.set(ref, entry);
    return entry;
  }

  #fly(entry: Entry): Promise<Cached> {
    entry.flight ??= this.#load(entry).finally(() => {
      entry.flight = undefined;
    });
    return entry.flight;
  }

  async #load(entry: Entry): Promise<Cached> {
    const { clock, read } = this.#options;
    const startedAt = clock.now();
    try {
      const reply = await read(entry.ref);
      if (entry.dropped) throw new KeyturnError("request-refused", `${entry.ref} is no longer used here`);
      if (reply === undefined) throw new KeyturnError("secret-missing", `there is no secret ${entry.ref}`);
      return this.#keep(entry, reply, startedAt);
    } catch (thrown) {
      const error = asKeyturnError(thrown);
      this.#postpone(entry, error);
      throw error;
    }
  }

  #keep(entry: Entry, reply: SecretReply, startedAt: number): Cached {
    const { clock, chance, cacheTtlMs, ttlSeen } = this.#options;
    const ttlMs = Math.min(reply.cacheTtlMs, cacheTtlMs);
    const secret = new AgentSecret(reply);
    const fresh = { secret, settled: Promise.resolve(secret), expiresAt: startedAt + ttlMs };
    entry.cached = entry.cached === undefined ? fresh : Object.assign(entry.cached, fresh);
    entry.ttlMs = ttlMs;
    entry.failures = 0;
    const ageMs = clock.now() - startedAt;
    const ahead = refreshAt * (0.95 + chance() / 10);
    this.#schedule(entry, Math.max(refreshMinMs, ttlMs * ahead - ageMs));
    ttlSeen(ttlMs);
    this.#compare(entry, secret.version);
    return entry.cached;
  }

  #compare(entry: Entry, version: string): void {
    const { lastVersion: previous, urgent, ref } = entry;
    entry.lastVersion = version;
    if (previous === version) return;
    entry.urgent = false;
    if (previous !== undefined) this.#options.changed({ ref, version, previous, urgent });
  }

  #schedule(entry: Entry, ms: number): void {
    entry.callOff();
    entry.callOff = this.#options.clock.after(ms, () => this.#tick(entry));
  }

  #tick(entry: Entry): void {
    if (entry.dropped) return;
    const { cached } = entry;
    if (cached !== undefined && cached.expiresAt <= this.#options.clock.now()) {
      entry.cached = undefined;
      this.#options.expired(entry.ref);
    }
    this.#fly(entry).catch(nothing);
  }

  /** After a failed read: again after a while, and in any case at the end of the value's life, to let go of it. */
  #postpone(entry: Entry, error: KeyturnError): void {
    // What was never read is only asked for by its callers.
    if (entry.dropped || entry.lastVersion === undefined) return;
    const { clock, chance, log } = this.#options;
    if (entry.failures === 0) {
      log("warn", `cannot read ${entry.ref} again`, { code: error.code, reason: error.message });
    }
    const waitMs = backoffMs(entry.failures, retryBaseMs, retryMaxMs, chance);
    entry.failures += 1;
    const leftMs = entry.cached === undefined ? waitMs : entry.cached.expiresAt - clock.now();
    this.#schedule(entry, Math.max(1, Math.min(waitMs, leftMs)));
  }
}
