import { createHash } from "node:crypto";

/** The end of one secret's chain: its last entry's sequence and hash. */
export interface ChainEnd {
  readonly ref: string;
  readonly sequence: number;
  readonly hash: string;
}

interface Named {
  readonly end: ChainEnd;
  /** UTF-8: the order of leaves is the order of these bytes, which every language has. */
  readonly name: Buffer;
}

/**
 * The hash tree of RFC 6962 over the ends of all chains, ordered by reference: a leaf is SHA-256(0x00, JSON array of reference,
 * sequence and hash), a node SHA-256(0x01, left, right). What has changed costs a path of the tree each; a new chain costs the whole tree.
 */
export class MerkleTree {
  readonly #places = new Map<string, number>();
  #ends: Named[] = [];
  #leaves: Buffer[] = [];
  /** From the nodes over the leaves up to the root alone; a node without a sibling stands in the next level as it is. */
  #levels: Buffer[][] = [];

  get size(): number {
    return this.#ends.length;
  }

  /** In hex; of an empty tree the hash of nothing. */
  get root(): string {
    const [top = createHash("sha256").digest()] = this.#levels.at(-1) ?? this.#leaves;
    return top.toString("hex");
  }

  /** The refs in the tree, in its order. */
  get refs(): readonly string[] {
    return this.#ends.map(({ end }) => end.ref);
  }

  end(ref: string): ChainEnd | undefined {
    return this.#ends[this.#places.get(ref) ?? -1]?.end;
  }

  set(ends: readonly ChainEnd[]): void {
    const added = new Map<string, Named>();
    const moved = new Map<number, ChainEnd>();
    for (const end of ends) {
      const place = this.#places.get(end.ref);
      const named = { end, name: Buffer.from(end.ref) };
      if (place === undefined) added.set(end.ref, named);
      else {
        this.#ends[place] = named;
        moved.set(place, end);
      }
    }
    if (added.size === 0) this.#climb(moved);
    else this.#build([...this.#ends, ...added.values()]);
  }

  #build(ends: Named[]): void {
    this.#ends = ends.sort((one, other) => Buffer.compare(one.name, other.name));
    for (const [place, { end }] of this.#ends.entries()) this.#places.set(end.ref, place);
    this.#leaves = this.#ends.map(({ end }) => leafHash(end));
    this.#levels = [];
    for (let level = this.#leaves; level.length > 1; ) {
      const below = level;
      level = Array.from({ length: Math.ceil(below.length / 2) }, (_, at) => nodeAbove(below, at));
      this.#levels.push(level);
    }
  }

  #climb(moved: ReadonlyMap<number, ChainEnd>): void {
    for (const [place, end] of moved) this.#leaves[place] = leafHash(end);
    let below = this.#leaves;
    let dirty = new Set(moved.keys());
    for (const level of this.#levels) {
      dirty = new Set([...dirty].map((at) => at >> 1));
      for (const at of dirty) level[at] = nodeAbove(below, at);
      below = level;
    }
  }
}

function leafHash({ ref, sequence, hash }: ChainEnd): Buffer {
  return createHash("sha256")
    .update(Buffer.of(0))
    .update(JSON.stringify([ref, sequence, hash]))
    .digest();
}

/** Of the two below it, or the one that has no sibling. */
function nodeAbove(below: readonly Buffer[], at: number): Buffer {
  return below
    .slice(at * 2, at * 2 + 2)
    .reduce((left, right) => createHash("sha256").update(Buffer.of(1)).update(left).update(right).digest());
}
