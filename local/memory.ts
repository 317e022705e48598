import type { AuditEntry } from "../core/audit.ts";
import { KeyturnError } from "../core/errors.ts";
import type { RotationEvent } from "../core/events.ts";
import { type AgentState, hear } from "../core/fleet.ts";
import type {
  AuditLog,
  Clock,
  EventBus,
  FingerprintMatch,
  Journal,
  Random,
  SecretStore,
  Stage,
  StoredSecret,
} from "../core/ports.ts";
import { parseRecord } from "../core/record.ts";

/** Every port in one process and in memory, for tests and simulations: the same promises, kept by the same contract suites. */

interface Shelf {
  readonly versions: Map<string, StoredSecret>;
  readonly stages: Map<Stage, string>;
  /** Ids that can never be saved again. */
  readonly closed: Set<string>;
  readonly disabled: Set<string>;
}

export function memorySecretStore(clock: Pick<Clock, "now">): SecretStore {
  const shelves = new Map<string, Shelf>();
  const shelf = (ref: string): Shelf => {
    const found = shelves.get(ref);
    if (found !== undefined) return found;
    const made = {
      versions: new Map<string, StoredSecret>(),
      stages: new Map<Stage, string>(),
      closed: new Set<string>(),
      disabled: new Set<string>(),
    };
    shelves.set(ref, made);
    return made;
  };
  return {
    async list(prefix = "") {
      return [...shelves]
        .filter(([ref, { versions }]) => ref.startsWith(prefix) && versions.size > 0)
        .map(([ref]) => ref)
        .sort();
    },
    async versions(ref) {
      const { versions, stages, disabled } = shelf(ref);
      const stageOf = (version: string) => [...stages].find(([, holder]) => holder === version)?.[0];
      return [...versions.values()].toReversed().map(({ version, createdAt }) => ({
        version,
        createdAt,
        stage: stageOf(version),
        disabled: disabled.has(version),
      }));
    },
    async read(ref, which) {
      const { versions, stages, disabled } = shelf(ref);
      const held = typeof which === "string" ? stages.get(which) : stages.get("pending");
      const version = typeof which === "object" && "version" in which ? which.version : held;
      return version === undefined || disabled.has(version) ? undefined : versions.get(version);
    },
    async savePending(ref, rotationId, value) {
      const { versions, stages, closed } = shelf(ref);
      const pending = stages.get("pending");
      const saved = versions.get(rotationId);
      if (pending === rotationId && saved !== undefined) return saved;
      if (closed.has(rotationId))
        throw new KeyturnError("conflict", `${rotationId} was promoted or discarded`);
      if (pending !== undefined) throw new KeyturnError("conflict", `${pending} is pending on ${ref}`);
      const stored = { ref, version: rotationId, value, createdAt: clock.now() };
      versions.set(rotationId, stored);
      stages.set("pending", rotationId);
      return stored;
    },
    async discardPending(ref, rotationId) {
      const { stages, closed } = shelf(ref);
      if (stages.get("current") === rotationId) return;
      closed.add(rotationId);
      if (stages.get("pending") === rotationId) stages.delete("pending");
    },
    async promote(ref, rotationId, expectedCurrent) {
      const { stages, closed } = shelf(ref);
      const current = stages.get("current");
      if (current === rotationId) return;
      if (current !== expectedCurrent) throw new KeyturnError("conflict", `current of ${ref} is ${current}`);
      if (stages.get("pending") !== rotationId) {
        throw new KeyturnError("conflict", `${rotationId} is not pending on ${ref}`);
      }
      closed.add(rotationId);
      stages.delete("pending");
      stages.set("current", rotationId);
      if (current !== undefined) stages.set("previous", current);
    },
    async disable(ref, version) {
      const { stages, disabled } = shelf(ref);
      if (stages.get("current") === version || stages.get("pending") === version) {
        throw new KeyturnError("request-refused", `${version} is in use`);
      }
      disabled.add(version);
      if (stages.get("previous") === version) stages.delete("previous");
      return "disabled";
    },
  };
}

export function memoryJournal(): Journal {
  const records = new Map<
    string,
    { readonly json: string; readonly revision: number; readonly dueAt: number | null }
  >();
  const agents = new Map<string, Map<string, AgentState>>();
  const matches = new Map<string, FingerprintMatch[]>();
  const due = (): [string, number][] =>
    [...records]
      .flatMap(([ref, { dueAt }]): [string, number][] => (dueAt === null ? [] : [[ref, dueAt]]))
      .sort(([, one], [, other]) => one - other);
  return {
    async load(ref) {
      const row = records.get(ref);
      return row && { record: parseRecord(JSON.parse(row.json), ref), revision: row.revision };
    },
    async save(record, expectedRevision) {
      const row = records.get(record.ref);
      if (row?.revision !== expectedRevision) throw new KeyturnError("conflict", `${record.ref} has moved`);
      const revision = (expectedRevision ?? 0) + 1;
      records.set(record.ref, { json: JSON.stringify(record), revision, dueAt: record.dueAt });
      return revision;
    },
    async due(now, limit) {
      return due()
        .filter(([, dueAt]) => dueAt <= now)
        .slice(0, limit)
        .map(([ref]) => ref);
    },
    async nextDueAt() {
      return due()[0]?.[1];
    },
    async refs() {
      return [...records.keys()].sort();
    },
    async report(reports, now) {
      for (const report of reports) {
        const states = agents.get(report.ref) ?? new Map<string, AgentState>();
        agents.set(report.ref, states);
        const state = hear(states.get(report.agent), report, now);
        if (state !== undefined) states.set(report.agent, state);
      }
    },
    async agents(ref) {
      return [...(agents.get(ref)?.values() ?? [])];
    },
    async forgetAgents(ref, before) {
      for (const [name, state] of agents.get(ref) ?? [])
        if (state.seenAt < before) agents.get(ref)?.delete(name);
    },
    async remember(ref, version, fields) {
      for (const [field, fingerprint] of Object.entries(fields)) {
        const known = matches.get(fingerprint) ?? [];
        const same = known.some(
          (match) => match.ref === ref && match.version === version && match.field === field,
        );
        matches.set(fingerprint, same ? known : [...known, { ref, version, field }]);
      }
    },
    async identify(fingerprints) {
      return fingerprints.flatMap((fingerprint) => matches.get(fingerprint) ?? []);
    },
  };
}

export function memoryEventBus(): EventBus & { readonly events: readonly RotationEvent[] } {
  const events: RotationEvent[] = [];
  return {
    events,
    async publish(event) {
      events.push(event);
    },
  };
}

export function memoryAuditLog(): AuditLog {
  const chains = new Map<string, AuditEntry[]>();
  return {
    async append(entry) {
      const chain = chains.get(entry.ref) ?? [];
      const taken = chain[entry.sequence - 1];
      if (taken?.hash === entry.hash) return;
      if (entry.sequence !== chain.length + 1) {
        throw new KeyturnError("conflict", `the chain of ${entry.ref} is at ${chain.length}`);
      }
      chains.set(entry.ref, [...chain, entry]);
    },
    async *read(ref) {
      yield* chains.get(ref) ?? [];
    },
    async end(ref) {
      const { sequence = 0, hash = "" } = chains.get(ref)?.at(-1) ?? {};
      return { sequence, hash };
    },
    async refs() {
      return [...chains.keys()].sort();
    },
  };
}

/** A clock that moves only when it is told to; whoever sleeps wakes when the time has been passed. */
export function steppedClock(start: number): Clock & { advance(ms: number): void } {
  let now = start;
  const sleepers = new Set<{ readonly at: number; wake(): void }>();
  return {
    now: () => now,
    advance(ms) {
      now += ms;
      for (const sleeper of sleepers) if (sleeper.at <= now) sleeper.wake();
    },
    sleep(ms, signal) {
      return new Promise((resolve, reject) => {
        // An abort that has been is not told again.
        if (signal?.aborted === true) {
          reject(signal.reason);
          return;
        }
        const sleeper = {
          at: now + ms,
          wake() {
            sleepers.delete(sleeper);
            resolve();
          },
        };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", () => {
          sleepers.delete(sleeper);
          reject(signal.reason);
        });
      });
    },
  };
}

/** Chance from a seed (mulberry32): the same seed, the same bytes. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const byte = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) & 0xff;
  };
  return {
    bytes(length) {
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length; at += 1) bytes[at] = byte();
      return bytes;
    },
  };
}
