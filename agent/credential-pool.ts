import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import type { AgentSecret } from "./agent-secret.ts";
import { type AgentClock, backoffMs, type Chance, pause } from "./clock.ts";
import { Connections, type Driver, type Lease } from "./connections.ts";
import type { AgentLog } from "./log.ts";

/** What a pool needs of an agent's client. */
export interface SecretReader {
  getSecret(ref: string): Promise<AgentSecret>;
  refresh(ref: string): Promise<AgentSecret>;
  readPending(ref: string): Promise<AgentSecret | undefined>;
  subscribeToRotation(ref: string, listener: () => void): () => void;
  used(ref: string, version: string): void;
  retain(ref: string, version: string): () => void;
}

/** What a pool needs to know of its protocol. */
export interface Protocol<Connection> extends Driver<Connection> {
  /** The server refused the login. */
  refused(error: unknown): boolean;
  /** The server ended the session, or the connection broke. */
  cutOff(error: unknown): boolean;
}

export interface CredentialPoolOptions<Connection> {
  readonly protocol: Protocol<Connection>;
  readonly max: number;
  readonly idleMs: number;
  /** How long a caller waits for a connection to come free, and for a refused login to be replaced. */
  readonly waitMs: number;
  readonly clock: AgentClock;
  readonly chance: Chance;
  readonly log: AgentLog;
}

const attemptsMax = 5;
const retryBaseMs = 50;
const retryMaxMs = 500;
/** A login that is refused for longer is a failure to be told. */
const recoverWithinMs = 5_000;
const followBaseMs = 500;
const followMaxMs = 15_000;
/** How long a statement that was cut off waits for the store to be read. */
const rereadWaitMs = 500;
const rereadEveryMs = 1_000;

/**
 * A pool whose connections follow a secret. A new version is proven by one connection before callers get it; connections of
 * the old one are closed when nobody has them. A refused login is a reason to read the store, past the cache.
 */
export class CredentialPool<Connection> {
  readonly #client: SecretReader;
  readonly #ref: string;
  readonly #options: CredentialPoolOptions<Connection>;
  readonly #connections: Connections<Connection>;
  readonly #unsubscribe: () => void;
  readonly #tries = new Map<string, Promise<boolean>>();
  #recovery: Promise<void> | undefined;
  #rereading: Promise<void> | undefined;
  #rereadAt = Number.NEGATIVE_INFINITY;
  #following = false;
  #wake: () => void = () => undefined;
  #followAgain = false;
  #ended = false;

  constructor(client: SecretReader, ref: string, options: CredentialPoolOptions<Connection>) {
    this.#client = client;
    this.#ref = ref;
    this.#options = options;
    const { protocol, max, idleMs, waitMs, clock } = options;
    this.#connections = new Connections({
      driver: { open: (secret, lost) => this.#open(secret, lost), close: (one) => protocol.close(one) },
      max,
      idleMs,
      waitMs,
      clock,
      retain: (version) => client.retain(ref, version),
      lost: () => this.#someLost(),
    });
    this.#unsubscribe = client.subscribeToRotation(ref, () => this.#follow());
    // Prove the login now rather than when it is first needed.
    this.#follow();
  }

  get total(): number {
    return this.#connections.total;
  }

  get idle(): number {
    return this.#connections.idle;
  }

  get waiting(): number {
    return this.#connections.waiting;
  }

  /** A connection that nothing has been sent on by this caller: whatever fails in here may be tried again, and is. */
  async checkout(): Promise<Lease<Connection>> {
    if (this.#connections.secret === undefined) await this.#begin();
    for (let failures = 0; ; failures += 1) {
      const before = this.#connections.secret;
      try {
        const lease = await this.#connections.take();
        if (!lease.lost) return lease;
        lease.release(true);
      } catch (error) {
        await this.#makeGood(error, failures, before);
      }
    }
  }

  /** A session was ended from outside: its credential may have been cut off, so the others of it are not relied on, and the store is read. */
  async distrust(version: string): Promise<void> {
    this.#connections.closeIdle((secret) => secret.version === version);
    await Promise.race([this.#reread(), pause(this.#options.clock, rereadWaitMs)]);
  }

  /** Resolves when every connection was given back and closed. Twice is once. */
  end(): Promise<void> {
    this.#ended = true;
    this.#wake();
    this.#unsubscribe();
    return this.#connections.end();
  }

  async #begin(): Promise<void> {
    const secret = await this.#client.getSecret(this.#ref);
    if (this.#connections.secret === undefined) this.#connections.use(secret);
  }

  /** After a connection that could not be had: makes the next attempt worth while, or throws. */
  async #makeGood(error: unknown, failures: number, before: AgentSecret | undefined): Promise<void> {
    const { clock, chance, protocol } = this.#options;
    const spent = failures + 1 >= attemptsMax;
    if (protocol.refused(error)) {
      if (spent) throw this.#refusal(error);
      // Unless the pool has changed over meanwhile.
      if (this.#connections.secret === before) await this.#recover(error);
      return;
    }
    if (spent || !protocol.cutOff(error)) throw error;
    await clock.sleep(backoffMs(failures, retryBaseMs, retryMaxMs, chance));
  }

  async #open(secret: AgentSecret, lost: () => void): Promise<Connection> {
    const connection = await this.#options.protocol.open(secret, lost);
    this.#client.used(this.#ref, secret.version);
    return connection;
  }

  /** Changes over to the cache's version, and goes on trying until it is done; the old one serves meanwhile. */
  #follow(): void {
    this.#followAgain = true;
    this.#wake();
    if (this.#following) return;
    this.#following = true;
    void this.#changeOver().finally(() => {
      this.#following = false;
      if (this.#followAgain) this.#follow();
    });
  }

  async #changeOver(): Promise<void> {
    for (let failures = 0; !this.#ended; failures += 1) {
      this.#followAgain = false;
      try {
        if (await this.#becomeCurrent()) return;
        this.#complain(`the new login of ${this.#ref} is refused`, undefined);
      } catch (error) {
        this.#complain(`cannot change over to the new login of ${this.#ref}`, error);
      }
      await this.#rest(failures);
    }
    this.#followAgain = false;
  }

  /** Until the next try, or the next rotation: that one may be what helps. */
  async #rest(failures: number): Promise<void> {
    if (this.#followAgain) return;
    const { clock, chance } = this.#options;
    const waitMs = backoffMs(failures, followBaseMs, followMaxMs, chance);
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      clock.after(waitMs, resolve);
    });
  }

  /** False when the server refuses it. Looks again after each proof, for the secret may have moved on, and so may the pool. */
  async #becomeCurrent(): Promise<boolean> {
    if (this.#connections.secret === undefined) (await this.checkout()).release(false);
    for (;;) {
      const secret = await this.#client.getSecret(this.#ref);
      if (secret.version === this.#connections.secret?.version) return true;
      if (!(await this.#try(secret))) return false;
    }
  }

  /** Whoever is refused at the same time shares one recovery: the server sees one more login, not one for each. */
  #recover(cause: unknown): Promise<void> {
    this.#recovery ??= this.#applyReadersRule(cause).finally(() => {
      this.#recovery = undefined;
    });
    return this.#recovery;
  }

  async #applyReadersRule(cause: unknown): Promise<void> {
    const { clock, chance, waitMs } = this.#options;
    const until = clock.now() + Math.min(waitMs, recoverWithinMs);
    for (let round = 0; !this.#ended; round += 1) {
      for await (const secret of this.#readersOrder(cause)) {
        if (await this.#try(secret)) return;
      }
      const pauseMs = backoffMs(round, retryBaseMs, retryMaxMs, chance);
      if (clock.now() + pauseMs > until) break;
      await clock.sleep(pauseMs);
    }
    throw this.#refusal(cause);
  }

  /** Always by a new read of the store: current; and for cutover types, where a rotation may be under way, pending and current again. */
  async *#readersOrder(cause: unknown): AsyncGenerator<AgentSecret> {
    const current = await this.#readPastCache(cause);
    yield current;
    if (current.overlap !== "cutover") return;
    const pending = await this.#client.readPending(this.#ref);
    if (pending === undefined) return;
    yield pending;
    yield await this.#readPastCache(cause);
  }

  async #readPastCache(cause: unknown): Promise<AgentSecret> {
    try {
      return await this.#client.refresh(this.#ref);
    } catch (failure) {
      const reason = `${asKeyturnError(failure).message}, and the cached login is refused`;
      throw new KeyturnError("login-refused", `cannot read ${this.#ref} again: ${reason}`, { cause });
    }
  }

  /** Opens one connection with the version, and uses it from then on if the server accepts it. */
  #try(secret: AgentSecret): Promise<boolean> {
    const { version } = secret;
    const trying = this.#tries.get(version) ?? this.#prove(secret).finally(() => this.#tries.delete(version));
    this.#tries.set(version, trying);
    return trying;
  }

  async #prove(secret: AgentSecret): Promise<boolean> {
    const { protocol } = this.#options;
    const before = this.#connections.secret?.version;
    try {
      const lease = await this.#connections.takeFresh(secret);
      // A slow proof of an old version must not undo a change that was made meanwhile.
      if (this.#connections.secret?.version === before) this.#connections.use(secret);
      lease.release(false);
      return true;
    } catch (error) {
      if (protocol.refused(error) || protocol.cutOff(error)) return false;
      throw error;
    }
  }

  #someLost(): void {
    if (this.#ended || this.#options.clock.now() - this.#rereadAt < rereadEveryMs) return;
    void this.#reread();
  }

  /** Never rejects: it is only a precaution. */
  #reread(): Promise<void> {
    this.#rereadAt = this.#options.clock.now();
    this.#rereading ??= this.#readAgain().finally(() => {
      this.#rereading = undefined;
    });
    return this.#rereading;
  }

  async #readAgain(): Promise<void> {
    try {
      const secret = await this.#client.refresh(this.#ref);
      if (secret.version !== this.#connections.secret?.version) await this.#try(secret);
    } catch (error) {
      this.#complain(`cannot read ${this.#ref} after a session was ended`, error);
    }
  }

  #refusal(cause: unknown): KeyturnError {
    return new KeyturnError("login-refused", `the server refuses every readable login of ${this.#ref}`, {
      cause,
    });
  }

  #complain(message: string, thrown: unknown): void {
    if (this.#ended) return;
    const reason = thrown === undefined ? {} : { reason: asKeyturnError(thrown).message };
    this.#options.log("warn", message, reason);
  }
}
