import { seededRandom } from "./memory.ts";

/** Seeded chance for a simulation's own decisions. */
export interface Chance {
  /** At least 0, less than 1. */
  next(): number;
  pick<Item>(items: readonly Item[]): Item;
}

export function chanceFrom(seed: number): Chance {
  const random = seededRandom(seed ^ 0x5eed);
  const next = (): number => new DataView(random.bytes(4).buffer).getUint32(0) / 2 ** 32;
  return {
    next,
    pick(items) {
      const item = items[Math.floor(next() * items.length)];
      if (item === undefined) throw new RangeError("nothing to pick from");
      return item;
    },
  };
}
