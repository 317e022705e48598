import type { Condition, Notice } from "./notice.ts";

/** A condition that a channel was told of and that is not over for it. */
export interface Told {
  readonly channel: string;
  readonly condition: Condition;
  readonly toldAt: number;
  readonly reminders: number;
}

/** A notice that its channel has not taken yet. */
export interface Waiting {
  readonly sequence: number;
  readonly notice: Notice;
  readonly at: number;
}

/** What is told, forgotten and remembered together: all of it or nothing. */
export interface LedgerChange {
  /** One that this channel was given before, by its id, is not given again. */
  readonly tell: readonly { readonly channel: string; readonly notice: Notice }[];
  readonly closed: readonly { readonly channel: string; readonly key: string }[];
  /** Put down after what is closed; of one channel and key the last one counts. */
  readonly told: readonly Told[];
}

/**
 * Remembers who was told of what, and keeps every notice until its channel has it: whoever dies between sending and settling
 * sends it again, with the same id. One process writes it.
 */
export interface NotifyLedger {
  /** How far the events are read; undefined: never yet. */
  place(): Promise<number | undefined>;
  setPlace(place: number): Promise<void>;
  /** The open conditions of a secret. */
  told(ref: string): Promise<readonly Told[]>;
  /** Every secret that has an open condition. */
  toldRefs(): Promise<readonly string[]>;
  record(change: LedgerChange, now: number): Promise<void>;
  /** In the order in which they were told. */
  waiting(channel: string, limit: number): Promise<readonly Waiting[]>;
  /** It is done with, whatever came of it. */
  settle(sequence: number, now: number): Promise<void>;
}
