import type { Quota, StoreEntry } from "../manifest/manifest.ts";

/** The quotas of the stores, as the manifest gives them at that moment. */
export class SchedulerQuotas {
  readonly #stores: () => ReadonlyMap<string, Pick<StoreEntry, "quota">>;
  readonly #quotas = new Map<string, SchedulerQuota>();

  constructor(stores: () => ReadonlyMap<string, Pick<StoreEntry, "quota">>) {
    this.#stores = stores;
  }

  /** Undefined: the store has none. One that was changed begins anew. */
  of(store: string): SchedulerQuota | undefined {
    const wanted = this.#stores().get(store)?.quota;
    const known = this.#quotas.get(store);
    if (wanted === undefined || known?.is(wanted) === true) return wanted && known;
    const quota = new SchedulerQuota(wanted);
    this.#quotas.set(store, quota);
    return quota;
  }
}

const comeBackWithinMs = 10_000;

/**
 * How often rotations may begin by themselves: so many in any time of that length. Kept in this process alone, so that who starts
 * anew has all of it: a courtesy to the targets, and never what safety rests on.
 */
export class SchedulerQuota {
  readonly #quota: Quota;
  /** When the last ones began, the oldest first; never more than matter. */
  readonly #begun: number[] = [];
  readonly #chance: () => number;

  /** `chance` gives numbers from 0 to less than 1. */
  constructor(quota: Quota, chance: () => number = Math.random) {
    this.#quota = quota;
    this.#chance = chance;
  }

  is({ rotations, perMs }: Quota): boolean {
    return this.#quota.rotations === rotations && this.#quota.perMs === perMs;
  }

  /** When the asker should come back: 0, it may begin; or a time after `now`. */
  opensAt(now: number): number {
    const { rotations, perMs } = this.#quota;
    const decisive = this.#begun.at(-rotations);
    if (this.#begun.length < rotations || decisive === undefined) return 0;
    // A clock that was put back must not close the quota for longer than it lasts.
    const opens = Math.min(decisive, now) + perMs;
    // Those who wait come back in no order: with too small a quota, no name would else ever let the others have a turn.
    return opens <= now
      ? 0
      : opens + Math.floor(this.#chance() * Math.min(comeBackWithinMs, perMs / rotations));
  }

  /** A rotation begins now. */
  took(now: number): void {
    this.#begun.push(now);
    if (this.#begun.length > this.#quota.rotations) this.#begun.shift();
  }
}
