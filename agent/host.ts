import { KeyturnError } from "../core/errors.ts";
import type { RotationEvent } from "../core/events.ts";
import { Cache, type RotationNotice } from "./cache.ts";
import { KeyturnClient } from "./client.ts";
import type { AgentClock, Chance } from "./clock.ts";
import { Feed } from "./feed.ts";
import type { AgentLog } from "./log.ts";
import { Reporter } from "./reporter.ts";
import type { Transport } from "./transport.ts";

export interface HostOptions {
  readonly transport: Transport;
  readonly principal: string;
  readonly cacheTtlMs: number;
  readonly spreadMs: number;
  readonly clock: AgentClock;
  readonly chance: Chance;
  readonly log: AgentLog;
}

/** Whatever agents run in this process, over one connection: one cache, one stream of events, one batch of reports. */
export class KeyturnHost implements AsyncDisposable {
  readonly #options: HostOptions;
  readonly #cache: Cache;
  readonly #reporter: Reporter;
  readonly #feed: Feed;
  readonly #clients = new Set<KeyturnClient>();
  #closing: Promise<void> | undefined;

  constructor(options: HostOptions) {
    this.#options = options;
    const { transport, clock, chance, log, cacheTtlMs, spreadMs } = options;
    const reporter = new Reporter({
      report: (reports, signal) => transport.report(reports, signal),
      clock,
      chance,
      log,
    });
    this.#reporter = reporter;
    this.#cache = new Cache({
      read: (ref) => transport.read(ref, "current"),
      clock,
      chance,
      log,
      cacheTtlMs,
      spreadMs,
      changed: (notice) => this.#changed(notice),
      expired: (ref) => this.#expired(ref),
      ttlSeen: (ttlMs) => reporter.ttlSeen(ttlMs),
    });
    this.#feed = new Feed({
      events: (signal) => transport.events(signal),
      clock,
      chance,
      log,
      opened: () => this.#cache.hintAll(),
      heard: (event) => this.#heard(event),
    });
  }

  /** An agent of this process, reported as `principal/name`. The name must be no other live agent's. */
  agent(name: string, fleet: string): KeyturnClient {
    return this.add(`${this.#options.principal}/${name}`, fleet);
  }

  /** How many lines of the event stream were no events of Keyturn. */
  get ignoredEvents(): number {
    return this.#feed.ignored;
  }

  /** Closes every agent's client, wipes what was read, and lets the connection go. Twice is once. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal An agent whose whole id is given. */
  add(agent: string, fleet: string, closed?: () => Promise<void>): KeyturnClient {
    // Two under one name would contradict each other's reports, and the later word wins.
    if ([...this.#clients].some((client) => client.agent === agent)) {
      throw new KeyturnError("input-invalid", `there is an agent ${agent} in this process already`);
    }
    const { transport, clock, chance, log } = this.#options;
    const client: KeyturnClient = new KeyturnClient({
      agent,
      fleet,
      transport,
      clock,
      chance,
      log,
      cache: this.#cache,
      reporter: this.#reporter,
      closed: async (refs) => {
        this.#clients.delete(client);
        for (const ref of refs) this.#dropUnused(ref);
        await closed?.();
      },
      forgot: (ref) => this.#dropUnused(ref),
    });
    this.#clients.add(client);
    return client;
  }

  async #close(): Promise<void> {
    this.#feed.stop();
    await Promise.all([...this.#clients].map((client) => client.close()));
    this.#reporter.stop();
    this.#cache.wipe();
    this.#options.transport.close();
  }

  /** An event is only a reason to read; whatever it says, the store knows better. */
  #heard(event: RotationEvent): void {
    const ref = event.subject;
    const cached = this.#cache.version(ref);
    switch (event.type) {
      case "dev.keyturn.secret.rotated.v1":
        if (event.data.version !== cached) this.#cache.hint(ref, event.data.urgent);
        return;
      case "dev.keyturn.secret.adopted.v1":
        if (event.data.version !== cached) this.#cache.hint(ref, false);
        return;
      case "dev.keyturn.secret.revoked.v1":
      case "dev.keyturn.secret.retired.v1":
        if (event.data.version === cached) this.#cache.hint(ref, true);
        return;
      case "dev.keyturn.rotation.failed.v1":
        // Undone, halted or late: it changes nothing of what is current.
        return;
    }
  }

  #changed(notice: RotationNotice): void {
    for (const client of this.#clients) client.changed(notice);
  }

  #expired(ref: string): void {
    for (const client of this.#clients) client.expired(ref);
  }

  #dropUnused(ref: string): void {
    if (![...this.#clients].some((client) => client.uses(ref))) this.#cache.drop(ref);
  }
}
