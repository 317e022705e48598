import { randomUUID } from "node:crypto";
import type { AgentReport } from "../core/fleet.ts";

/** A pin on a version, as the service sees it. */
export interface Pin {
  readonly version: string;
  /** Aborted when the service refuses the hold, at once or later. */
  readonly lost: AbortSignal;
  /** Twice is once. */
  release(): void;
}

interface Held {
  readonly id: string;
  readonly version: string;
  readonly since: number;
  readonly lost: AbortController;
  readonly unretain: () => void;
}

/** How many versions are remembered as having worked; a rotation concerns two or three. */
const provenMax = 16;

/** One agent's use of one secret: what it has in its cache, its connections and its holds, and what it has used with success. */
export class Use {
  readonly agent: string;
  readonly fleet: string;
  readonly ref: string;
  readonly #changed: (use: Use) => void;
  readonly #retained = new Map<string, number>();
  readonly #holds = new Map<string, Held>();
  readonly #proven = new Set<string>();
  #lastUsed: string | undefined;
  #cached: string | undefined;

  constructor(
    name: { readonly agent: string; readonly fleet: string; readonly ref: string },
    changed: (use: Use) => void,
  ) {
    this.agent = name.agent;
    this.fleet = name.fleet;
    this.ref = name.ref;
    this.#changed = changed;
  }

  /** Nothing was read, used, retained or held yet. */
  get blank(): boolean {
    return this.#cached === undefined && this.#lastUsed === undefined && this.#retained.size === 0;
  }

  /** The version that the cache holds for this agent now. */
  cached(version: string | undefined): void {
    if (this.#cached === version) return;
    this.#cached = version;
    this.#changed(this);
  }

  /** A version was used with success. */
  used(version: string): void {
    const before = this.#adopted;
    this.#lastUsed = version;
    this.#proven.delete(version);
    this.#proven.add(version);
    for (const oldest of this.#proven) {
      if (this.#proven.size <= provenMax) break;
      this.#proven.delete(oldest);
    }
    if (this.#adopted !== before) this.#changed(this);
  }

  /** Something outside the cache goes on using a version; gives the way to say that it stopped. Twice is once. */
  retain(version: string): () => void {
    this.#count(version, 1);
    let retained = true;
    return () => {
      if (retained) this.#count(version, -1);
      retained = false;
    };
  }

  hold(version: string, since: number): Pin {
    const id = randomUUID();
    const lost = new AbortController();
    this.#holds.set(id, { id, version, since, lost, unretain: this.retain(version) });
    this.#changed(this);
    const release = () => {
      const held = this.#holds.get(id);
      if (held === undefined) return;
      this.#holds.delete(id);
      held.unretain();
      this.#changed(this);
    };
    return { version, lost: lost.signal, release };
  }

  /** The service does not grant these holds. A task that runs under one is told; until it ends its version stays in use. */
  refuse(holdIds: readonly string[]): void {
    for (const id of holdIds) this.#holds.get(id)?.lost.abort();
  }

  report(sequence: number, leaving: boolean): AgentReport {
    const cached = leaving || this.#cached === undefined ? [] : [this.#cached];
    const granted = [...this.#holds.values()].filter((held) => !held.lost.signal.aborted);
    const adopted = this.#adopted;
    return {
      ref: this.ref,
      agent: this.agent,
      fleet: this.fleet,
      sequence,
      ...(adopted === undefined ? {} : { adopted }),
      inUse: [...new Set([...cached, ...this.#retained.keys()])],
      holds: granted.map(({ id, version, since }) => ({ id, version, since })),
      ...(leaving ? { leaving } : {}),
    };
  }

  /**
   * The current version once it was used, else the last one that was. Use of an older version, by a transaction that
   * still runs for example, says nothing against what is adopted.
   */
  get #adopted(): string | undefined {
    return this.#cached !== undefined && this.#proven.has(this.#cached) ? this.#cached : this.#lastUsed;
  }

  #count(version: string, by: 1 | -1): void {
    const before = this.#retained.get(version) ?? 0;
    const after = before + by;
    if (after === 0) this.#retained.delete(version);
    else this.#retained.set(version, after);
    if (before === 0 || after === 0) this.#changed(this);
  }
}
