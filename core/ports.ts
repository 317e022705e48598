import type { AuditEntry } from "./audit.ts";
import type { AuditSigner, ListEnd, RootsLine } from "./audit-root.ts";
import type { RotationEvent } from "./events.ts";
import type { AgentReport, AgentState } from "./fleet.ts";
import type { RotationRecord } from "./record.ts";
import type { Rotator } from "./rotator.ts";
import type { Schedule } from "./schedule.ts";
import type { Secret } from "./secret.ts";

/** One value of a secret, as a store holds it. `version` is the id of the rotation that made it. */
export interface StoredSecret {
  readonly ref: string;
  readonly version: string;
  /** The JSON text of the credential. */
  readonly value: Secret;
  readonly createdAt: number;
}

export type Stage = "pending" | "current" | "previous";

/**
 * Which version of a secret: what holds the stage; the one of that id; or what is pending, as whoever is about to save the candidate of that rotation asks
 * for it. Of the last a store may leave out a value that has the rotation's id and was not put by its save: saving gives it back.
 */
export type Which = Stage | { readonly version: string } | { readonly pendingFor: string };

/** One version of a secret, without its value. */
export interface StoredVersion {
  readonly version: string;
  readonly createdAt: number;
  readonly stage: Stage | undefined;
  /** Whether its value can still be read. */
  readonly disabled: boolean;
}

/**
 * Where secrets live. Absent is `undefined`; every failure throws a KeyturnError. Nothing here destroys a value:
 * a version stays readable by its id until the store's own retention ends after `disable`.
 */
export interface SecretStore {
  /** The references of all secrets whose name begins with the prefix, in order. */
  list(prefix?: string): Promise<readonly string[]>;
  /** Every version that ever had a value, the newest first. */
  versions(ref: string): Promise<readonly StoredVersion[]>;
  /** A disabled version reads as absent by stage, and by id. */
  read(ref: string, which: Which): Promise<StoredSecret | undefined>;
  /**
   * Saves the candidate of a rotation and gives back what is saved: the first save of a rotation id wins, a second one
   * returns the first one's value. Refused with `conflict` while another rotation's candidate is pending, and for an id
   * that was promoted or discarded before.
   */
  savePending(ref: string, rotationId: string, value: Secret): Promise<StoredSecret>;
  /** Takes the pending stage away; the value stays readable by its version. Already gone, or never there: done, and that id can never be saved later. */
  discardPending(ref: string, rotationId: string): Promise<void>;
  /**
   * Makes pending current, and current previous, in one step. Already current: done. Refused with `conflict` when current is not
   * the expected version, or when the rotation's candidate is not the pending one.
   */
  promote(ref: string, rotationId: string, expectedCurrent: string | undefined): Promise<void>;
  /** Makes a version that is not current and not pending unreadable to everyone but an administrator's undelete. Twice is once. */
  disable(ref: string, version: string): Promise<"disabled" | "unsupported">;
}

/** A record with the revision that a save must name. */
export interface Loaded {
  readonly record: RotationRecord;
  readonly revision: number;
}

/** Which version of which secret a fingerprint belongs to. */
export interface FingerprintMatch {
  readonly ref: string;
  readonly version: string;
  readonly field: string;
}

/** What Keyturn knows of every secret, and what agents report. */
export interface Journal {
  load(ref: string): Promise<Loaded | undefined>;
  /** Compare-and-set. `expectedRevision` undefined creates. Gives the new revision; throws `conflict` if the record is at another one. */
  save(record: RotationRecord, expectedRevision: number | undefined): Promise<number>;
  /** References whose `dueAt` is not after `now`, earliest first. Costs by what is due, not by what there is. */
  due(now: number, limit: number): Promise<readonly string[]>;
  /** The earliest `dueAt` of all records, so that a scheduler knows how long it may sleep. */
  nextDueAt(): Promise<number | undefined>;
  /** Every reference that has a record, in order. */
  refs(): Promise<readonly string[]>;
  /** Keeps the latest word of each agent on each secret. A report whose `sequence` is not greater than the last one's is ignored. */
  report(reports: readonly AgentReport[], now: number): Promise<void>;
  /** The latest word of every agent that ever reported on this secret and was not forgotten. */
  agents(ref: string): Promise<readonly AgentState[]>;
  /** Drops agents not heard of since `before`. */
  forgetAgents(ref: string, before: number): Promise<void>;
  /** Remembers the fingerprints of a version's secret fields, for good. Twice is once. */
  remember(ref: string, version: string, fields: Readonly<Record<string, string>>): Promise<void>;
  /** Which versions have one of these fingerprints. */
  identify(fingerprints: readonly string[]): Promise<readonly FingerprintMatch[]>;
}

/** Outbound only; delivering inbound is the platform's. Delivery is at least once and unordered: an event is a hint. */
export interface EventBus {
  publish(event: RotationEvent): Promise<void>;
}

/** One hash chain for each secret. */
export interface AuditLog {
  /**
   * Appends the entry with the next sequence. The same entry again: done. Another entry at a sequence that is taken, or
   * one that leaves a gap: `conflict`.
   */
  append(entry: AuditEntry): Promise<void>;
  /** The whole chain of a secret, in order, as it is stored: verifying is the reader's. */
  read(ref: string): AsyncIterable<AuditEntry>;
  /** The last entry's sequence and hash, unverified; sequence 0 and "" where there is no chain. Costs the same however long the chain is. */
  end(ref: string): Promise<{ readonly sequence: number; readonly hash: string }>;
  /** Every reference that has a chain. */
  refs(): Promise<readonly string[]>;
}

/** The signed roots over all chains, and the keys that sign them: a list that only grows. */
export interface AuditRoots {
  /** Appends the line with the next number. The same line again: done. One that does not follow the last one: `conflict`. */
  append(line: RootsLine): Promise<void>;
  /** The whole list, in order, as it is stored: verifying is the reader's. */
  read(): AsyncIterable<RootsLine>;
  /** The last line's number and hash, unverified; 0 and "" where there is none. */
  end(): Promise<ListEnd>;
}

/** The keys that sign the roots. They live apart from the data, and a private one never leaves its place. */
export interface AuditKeys {
  /** The key with that public key; without one the first key, made where there is none. `key-missing` where it is not there. */
  signer(publicKey: string | undefined): Promise<AuditSigner>;
  /** The key that is to follow, made where there is none: until `settle` it is the same whoever asks. */
  next(): Promise<AuditSigner>;
  /** The list has gone on to that key: the one before it is dropped. Twice is once. */
  settle(publicKey: string): Promise<void>;
  /** The public keys of those that are there. */
  publicKeys(): Promise<readonly string[]>;
}

/** Time, in milliseconds since 1970 UTC. */
export interface Clock {
  now(): number;
  /** Resolves after the time, or rejects with the signal's reason. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Chance, good enough for keys. */
export interface Random {
  bytes(length: number): Uint8Array;
}

/** Structured lines for a person or a collector. Values are redacted before they come here. */
export type Log = (
  level: "debug" | "info" | "warn" | "error",
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

/** What the manifest says of one secret. */
export interface ManagedSecret {
  readonly ref: string;
  readonly type: string;
  readonly config: unknown;
  /** The reference of the administering login's secret. */
  readonly admin: string | undefined;
  readonly policy: Policy;
  readonly fleets: readonly string[];
  readonly tenant: string | undefined;
}

export interface Policy {
  /** Undefined: only on request. */
  readonly schedule: Schedule | undefined;
  /** The longest time an agent may go on with a value it has read. */
  readonly cacheTtlMs: number;
  readonly graceAtLeastMs: number;
  readonly graceAtMostMs: number;
  /** What to do at the end of `graceAtMostMs` with agents that still use the old credential. */
  readonly onLaggards: "hold" | "retire";
  /** How often the new credential is tried again during grace. */
  readonly confirmEveryMs: number;
  /** How long one step may take before it counts as failed. */
  readonly stepDeadlineMs: number;
  /** Tries of one step before a rotation is undone, or before a person is told where it cannot be undone. */
  readonly attemptsMax: number;
  readonly retryBaseMs: number;
  readonly retryMaxMs: number;
}

/** Makes the keyed fingerprints by which values are told apart and found again without keeping them. */
export interface Fingerprinter {
  /** By the newest key. */
  fingerprint(text: string): string;
  /** By every key there is, newest first: for finding a value that was fingerprinted long ago. */
  candidates(text: string): readonly string[];
}

/** Everything the core needs of the outside. */
export interface Ports {
  /** Names this installation at the targets, so that two of them notice each other. */
  readonly installation: string;
  readonly store: SecretStore;
  readonly journal: Journal;
  readonly bus: EventBus;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly fingerprinter: Fingerprinter;
  readonly secrets: { get(ref: string): ManagedSecret | undefined; refs(): readonly string[] };
  readonly rotators: { load(type: string): Promise<Rotator> };
}
