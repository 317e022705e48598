import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import { AgentSecret } from "./agent-secret.ts";
import type { Cache, Cached, RotationNotice } from "./cache.ts";
import { type AgentClock, backoffMs, type Chance, pause } from "./clock.ts";
import type { AgentLog } from "./log.ts";
import type { Reporter } from "./reporter.ts";
import type { SecretSummary, Transport } from "./transport.ts";
import type { Use } from "./use.ts";

export type RotationListener = (notice: RotationNotice) => void;

/** A version that stays valid until it is released, or until the longest grace window ends: then `lost` is aborted. */
export interface HeldSecret extends AsyncDisposable {
  readonly secret: AgentSecret;
  readonly lost: AbortSignal;
  /** Twice is once. */
  release(): Promise<void>;
}

interface ClientOptions {
  readonly agent: string;
  readonly fleet: string;
  readonly transport: Transport;
  readonly cache: Cache;
  readonly reporter: Reporter;
  readonly clock: AgentClock;
  readonly chance: Chance;
  readonly log: AgentLog;
  readonly closed: (refs: readonly string[]) => Promise<void>;
  readonly forgot: (ref: string) => void;
}

const followBaseMs = 250;
const followMaxMs = 30_000;

/** One agent's way to the secrets of its fleet. */
export class KeyturnClient implements AsyncDisposable {
  readonly agent: string;
  readonly fleet: string;
  readonly #options: ClientOptions;
  readonly #clock: AgentClock;
  readonly #warm = new Map<string, Cached>();
  readonly #uses = new Map<string, Use>();
  readonly #listeners = new Map<string, Set<RotationListener>>();
  #closing: Promise<void> | undefined;

  constructor(options: ClientOptions) {
    this.agent = options.agent;
    this.fleet = options.fleet;
    this.#options = options;
    this.#clock = options.clock;
  }

  /**
   * The current version: from the cache while it lives, else from the store. Read it anew for each use rather than keep
   * it, and say by `used` that it worked: a rotation waits until every agent has used the new version.
   */
  getSecret(ref: string): Promise<AgentSecret> {
    const cached = this.#warm.get(ref);
    if (cached !== undefined && cached.expiresAt > this.#clock.now()) return cached.settled;
    return this.#read(ref, (cache) => cache.read(ref));
  }

  /** The current version by a new read of the store: for whoever was refused with the cached one. */
  refresh(ref: string): Promise<AgentSecret> {
    return this.#read(ref, (cache) => cache.refresh(ref));
  }

  /** The pending version, for the readers of cutover types; absent also where this fleet may not read it. Never cached. */
  async readPending(ref: string): Promise<AgentSecret | undefined> {
    await this.#registered(ref);
    try {
      const reply = await this.#options.transport.read(ref, "pending");
      return reply === undefined ? undefined : new AgentSecret(reply);
    } catch (error) {
      if (error instanceof KeyturnError && error.code === "access-denied") return undefined;
      throw error;
    }
  }

  listSecrets(): Promise<readonly SecretSummary[]> {
    return this.#options.transport.list();
  }

  /** Calls the listener when a new version is in the cache, until the function that it gives back is called. */
  subscribeToRotation(ref: string, listener: RotationListener): () => void {
    this.#assertOpen();
    const listeners = this.#listeners.get(ref) ?? new Set();
    this.#listeners.set(ref, listeners.add(listener));
    void this.#follow(ref, listener);
    return () => {
      listeners.delete(listener);
    };
  }

  /** Says that the target has accepted a version from this agent. */
  used(ref: string, version: string): void {
    this.#uses.get(ref)?.used(version);
  }

  /** Says that something outside the cache, an open connection for example, goes on using a version, until the given function is called. */
  retain(ref: string, version: string): () => void {
    // A pool that outlives its client goes on, unreported, rather than break.
    if (this.#closing !== undefined) return () => undefined;
    return this.#use(ref).retain(version);
  }

  /**
   * Pins the current version for a long task; resolves when the service has granted it. While a version is being retired
   * a hold on it is refused, and is taken on the new one instead. A task that ends well counts as use.
   */
  hold(ref: string): Promise<HeldSecret>;
  hold<T>(ref: string, task: (secret: AgentSecret, lost: AbortSignal) => T | Promise<T>): Promise<T>;
  async hold<T>(
    ref: string,
    task?: (secret: AgentSecret, lost: AbortSignal) => T | Promise<T>,
  ): Promise<T | HeldSecret> {
    const held =
      (await this.#tryHold(await this.getSecret(ref))) ?? (await this.#tryHold(await this.refresh(ref)));
    if (held === undefined) {
      throw new KeyturnError("request-refused", `the service grants no hold on ${ref} now`);
    }
    if (task === undefined) return held;
    await using pinned = held;
    const result = await task(pinned.secret, pinned.lost);
    this.used(ref, pinned.secret.version);
    return result;
  }

  /** This agent no longer uses a secret: a rotation need not wait for it. Reading it again begins anew. */
  async forget(ref: string): Promise<void> {
    this.#listeners.delete(ref);
    await this.#leave(ref);
  }

  /** Wipes what was read and tells the service not to wait for this agent. End pools and tasks before. Twice is once. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal */
  uses(ref: string): boolean {
    return this.#uses.has(ref);
  }

  /** @internal The cache has a new version. */
  changed(notice: RotationNotice): void {
    this.#uses.get(notice.ref)?.cached(notice.version);
    for (const listener of [...(this.#listeners.get(notice.ref) ?? [])]) {
      try {
        listener(notice);
      } catch (thrown) {
        const reason = asKeyturnError(thrown).message;
        this.#options.log("error", `a listener for ${notice.ref} failed`, { reason });
      }
    }
  }

  /** @internal The cache let a value go. */
  expired(ref: string): void {
    this.#warm.delete(ref);
    this.#uses.get(ref)?.cached(undefined);
  }

  async #read(ref: string, from: (cache: Cache) => Promise<Cached>): Promise<AgentSecret> {
    const use = await this.#registered(ref);
    try {
      const cached = await from(this.#options.cache);
      this.#assertOpen();
      // Forgotten while it was read: what is not reported is not kept.
      if (this.#uses.get(ref) !== use) return cached.secret;
      this.#warm.set(ref, cached);
      use.cached(cached.secret.version);
      return cached.secret;
    } catch (error) {
      // A rotation must not wait for an agent that asked once for what it may not have, or what is not there.
      const hopeless = error instanceof KeyturnError && error.disposition === "reject";
      if (hopeless && use.blank && this.#uses.get(ref) === use) void this.#leave(ref);
      throw error;
    }
  }

  /** The service hears of an agent before that agent first reads: nobody may hold a value without being known. */
  async #registered(ref: string): Promise<Use> {
    const use = this.#use(ref);
    await this.#options.reporter.register(use);
    this.#assertOpen();
    return use;
  }

  #use(ref: string): Use {
    this.#assertOpen();
    const known = this.#uses.get(ref);
    if (known !== undefined) return known;
    const use = this.#options.reporter.add({ agent: this.agent, fleet: this.fleet, ref });
    this.#uses.set(ref, use);
    return use;
  }

  async #leave(ref: string): Promise<void> {
    this.#warm.delete(ref);
    const use = this.#uses.get(ref);
    if (use === undefined) return;
    this.#uses.delete(ref);
    this.#options.forgot(ref);
    await this.#options.reporter.leave([use]);
  }

  async #tryHold(secret: AgentSecret): Promise<HeldSecret | undefined> {
    const use = this.#use(secret.ref);
    const pin = use.hold(secret.version, this.#clock.wall());
    const release = async () => pin.release();
    try {
      await this.#options.reporter.deliver(use);
      this.#assertOpen();
    } catch (error) {
      pin.release();
      throw error;
    }
    if (!pin.lost.aborted) return { secret, lost: pin.lost, release, [Symbol.asyncDispose]: release };
    pin.release();
    return undefined;
  }

  /** A listener hears of changes only from what was read: so it is read, however long the service takes to come up. */
  async #follow(ref: string, listener: RotationListener): Promise<void> {
    const { chance, log } = this.#options;
    for (let failures = 0; this.#listeners.get(ref)?.has(listener); failures += 1) {
      try {
        await this.getSecret(ref);
        return;
      } catch (thrown) {
        const error = asKeyturnError(thrown);
        const fields = { code: error.code, reason: error.message };
        if (failures === 0) log("warn", `cannot read ${ref} to follow it`, fields);
      }
      await pause(this.#clock, backoffMs(failures, followBaseMs, followMaxMs, chance));
    }
  }

  async #close(): Promise<void> {
    const uses = [...this.#uses.values()];
    this.#warm.clear();
    this.#uses.clear();
    this.#listeners.clear();
    await this.#options.reporter.leave(uses);
    await this.#options.closed(uses.map((use) => use.ref));
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new KeyturnError("request-refused", "the client was closed");
  }
}
