import { setImmediate as turn } from "node:timers/promises";
import { KeyturnError } from "../core/errors.ts";
import type { AgentSecret } from "./agent-secret.ts";
import type { AgentClock } from "./clock.ts";

/** What a set of connections needs to know of their protocol. */
export interface Driver<Connection> {
  /** Logs in with the version. `lost` is called when the connection turns out to be dead. */
  open(secret: AgentSecret, lost: () => void): Promise<Connection>;
  /** Resolves when the server has let it go, too. */
  close(connection: Connection): Promise<void>;
}

interface ConnectionsOptions<Connection> {
  readonly driver: Driver<Connection>;
  /** Never more than this at once, whatever their version; one that is being closed counts until it is gone. */
  readonly max: number;
  readonly idleMs: number;
  readonly waitMs: number;
  readonly clock: AgentClock;
  /** A version is in use from this call until the function that it gives back is called. */
  readonly retain: (version: string) => () => void;
  /** A connection died that nobody had closed. */
  readonly lost: () => void;
}

/** A place for one connection, from before it is opened until it is gone. */
interface Slot<Connection> {
  readonly secret: AgentSecret;
  readonly unretain: () => void;
  connection: Connection | undefined;
  lost: boolean;
  closing: boolean;
  callOffIdle: () => void;
  idleSince: number;
}

interface Waiter<Connection> {
  /** Only a connection newly opened with this one will do. */
  readonly fresh: AgentSecret | undefined;
  readonly grant: (slot: Slot<Connection>) => void;
  readonly refuse: (error: KeyturnError) => void;
}

/** A connection that belongs to one caller until it is released. */
export interface Lease<Connection> {
  readonly connection: Connection;
  readonly secret: AgentSecret;
  /** It is known to be dead. */
  readonly lost: boolean;
  /** Gives it back; a broken one is closed. Twice is once. */
  release(broken: boolean): void;
}

/** A connection that was used less long ago than this is taken as it is. */
const restedMs = 5;
const nothing = () => undefined;

/**
 * A bounded set of connections, each opened with one version of a secret. `use` names the version for new ones; those of
 * other versions are closed as soon as nobody has them.
 */
export class Connections<Connection> {
  readonly #options: ConnectionsOptions<Connection>;
  readonly #slots = new Set<Slot<Connection>>();
  readonly #idle: Slot<Connection>[] = [];
  readonly #waiting: Waiter<Connection>[] = [];
  readonly #ended = Promise.withResolvers<void>();
  #secret: AgentSecret | undefined;
  #unretain: () => void = nothing;
  #ending = false;

  constructor(options: ConnectionsOptions<Connection>) {
    this.#options = options;
  }

  /** The version that new connections are opened with. */
  get secret(): AgentSecret | undefined {
    return this.#secret;
  }

  get total(): number {
    return this.#slots.size;
  }

  get idle(): number {
    return this.#idle.length;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** New connections use this version from now on; idle ones of others are closed at once. */
  use(secret: AgentSecret): void {
    if (this.#ending) return;
    const unretain = this.#unretain;
    this.#unretain = this.#options.retain(secret.version);
    this.#secret = secret;
    unretain();
    this.closeIdle((slot) => slot.version !== secret.version);
    this.#serve();
  }

  /** An idle connection, or a new one, or the next that comes free. */
  take(): Promise<Lease<Connection>> {
    return this.#lease(undefined);
  }

  /** A new connection with that version, before everybody who waits. An idle one makes room for it. */
  takeFresh(secret: AgentSecret): Promise<Lease<Connection>> {
    return this.#lease(secret);
  }

  closeIdle(which: (secret: AgentSecret) => boolean): void {
    for (const slot of this.#idle.filter(({ secret }) => which(secret))) this.#close(slot);
  }

  /** Refuses whoever waits, closes what is idle, and resolves when the last connection was given back and closed. */
  end(): Promise<void> {
    if (!this.#ending) {
      this.#ending = true;
      for (const waiter of this.#waiting.splice(0)) waiter.refuse(ended());
      this.closeIdle(() => true);
      this.#unretain();
      this.#endIfEmpty();
    }
    return this.#ended.promise;
  }

  async #lease(fresh: AgentSecret | undefined): Promise<Lease<Connection>> {
    const slot = await this.#wait(fresh);
    const connection =
      slot.connection === undefined ? await this.#open(slot) : await this.#wake(slot, slot.connection);
    let released = false;
    const release = (broken: boolean) => {
      if (!released) this.#release(slot, broken);
      released = true;
    };
    return {
      connection,
      secret: slot.secret,
      release,
      get lost() {
        return slot.lost;
      },
    };
  }

  #wait(fresh: AgentSecret | undefined): Promise<Slot<Connection>> {
    if (this.#ending) return Promise.reject(ended());
    const { clock, waitMs } = this.#options;
    return new Promise((resolve, reject) => {
      const callOff = clock.after(waitMs, () => {
        const index = this.#waiting.indexOf(waiter);
        if (index < 0) return;
        this.#waiting.splice(index, 1);
        reject(new KeyturnError("timeout", `no connection came free within ${waitMs} ms`));
        this.#serve();
      });
      const waiter: Waiter<Connection> = {
        fresh,
        grant: (slot) => {
          callOff();
          resolve(slot);
        },
        refuse: (error) => {
          callOff();
          reject(error);
        },
      };
      if (fresh === undefined) this.#waiting.push(waiter);
      else this.#waiting.unshift(waiter);
      this.#serve();
    });
  }

  /** Gives what there is to those who wait, in their order. */
  #serve(): void {
    for (let waiter = this.#waiting[0]; waiter !== undefined; waiter = this.#waiting[0]) {
      const slot = this.#slotFor(waiter.fresh);
      if (slot === undefined) return;
      this.#waiting.shift();
      waiter.grant(slot);
    }
  }

  #slotFor(fresh: AgentSecret | undefined): Slot<Connection> | undefined {
    const idle = fresh === undefined ? this.#idle.pop() : undefined;
    if (idle !== undefined) {
      idle.callOffIdle();
      return idle;
    }
    const secret = fresh ?? this.#secret;
    if (this.#slots.size < this.#options.max && secret !== undefined) return this.#reserve(secret);
    const [oldest] = this.#idle;
    const roomComes = [...this.#slots].some((slot) => slot.closing);
    if (oldest !== undefined && !roomComes) this.#close(oldest);
    return undefined;
  }

  #reserve(secret: AgentSecret): Slot<Connection> {
    const slot: Slot<Connection> = {
      secret,
      unretain: this.#options.retain(secret.version),
      connection: undefined,
      lost: false,
      closing: false,
      callOffIdle: nothing,
      idleSince: 0,
    };
    this.#slots.add(slot);
    return slot;
  }

  async #open(slot: Slot<Connection>): Promise<Connection> {
    try {
      slot.connection = await this.#options.driver.open(slot.secret, () => this.#lost(slot));
    } catch (error) {
      this.#gone(slot);
      throw error;
    }
    if (!this.#ending) return slot.connection;
    this.#close(slot);
    throw ended();
  }

  /**
   * The news that a resting connection was ended may have come and not been read: it is read now, before anything is sent,
   * for afterwards nobody could tell whether a statement had run. The second turn is the one that reads.
   */
  async #wake(slot: Slot<Connection>, connection: Connection): Promise<Connection> {
    if (this.#options.clock.now() - slot.idleSince < restedMs) return connection;
    await turn();
    await turn();
    return connection;
  }

  #release(slot: Slot<Connection>, broken: boolean): void {
    const outdated = slot.secret.version !== this.#secret?.version;
    if (broken || slot.lost || outdated || this.#ending) {
      this.#close(slot);
      return;
    }
    slot.callOffIdle = this.#options.clock.after(this.#options.idleMs, () => this.#close(slot));
    slot.idleSince = this.#options.clock.now();
    this.#idle.push(slot);
    this.#serve();
  }

  #lost(slot: Slot<Connection>): void {
    if (slot.lost || slot.closing) return;
    slot.lost = true;
    if (this.#idle.includes(slot)) this.#close(slot);
    this.#options.lost();
  }

  #close(slot: Slot<Connection>): void {
    const { connection } = slot;
    if (slot.closing || connection === undefined) return;
    slot.closing = true;
    slot.callOffIdle();
    const index = this.#idle.indexOf(slot);
    if (index >= 0) this.#idle.splice(index, 1);
    this.#options.driver
      .close(connection)
      .catch(nothing)
      .finally(() => this.#gone(slot));
  }

  #gone(slot: Slot<Connection>): void {
    this.#slots.delete(slot);
    slot.unretain();
    this.#serve();
    this.#endIfEmpty();
  }

  #endIfEmpty(): void {
    if (this.#ending && this.#slots.size === 0) this.#ended.resolve();
  }
}

function ended(): KeyturnError {
  return new KeyturnError("request-refused", "the pool was ended");
}
