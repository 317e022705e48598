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
  /** The leaves first, the root alone in the last; a node without a sibling stands in the next level as it is. */
  #levels: Buffer[][] = [[]];

  get size(): number {
    return this.#ends.length;
  }

  /** In hex; of an empty tree the hash of nothing. */
  get root(): string {
    return (this.#levels.at(-1)?.[0] ?? createHash("sha256").digest()).toString("hex");
  }

  /** The refs in the tree, in its order. */
  get refs(): readonly string[] {
    return this.#ends.map(({ end }) => end.ref);
  }

  end(ref: string): ChainEnd | undefined {
    const place = this.#places.get(ref);
    return place === undefined ? undefined : this.#ends[place]?.end;
  }

  set(ends: readonly ChainEnd[]): void {
    const added = new Map<string, Named>();
    const moved = new Set<number>();
    for (const end of ends) {
      const place = this.#places.get(end.ref);
      const named = { end, name: Buffer.from(end.ref) };
      if (place === undefined) added.set(end.ref, named);
      else this.#ends[place] = named;
      if (place !== undefined) moved.add(place);
    }
    if (added.size === 0) this.#climb(moved);
    else this.#build([...this.#ends, ...added.values()]);
  }

  #build(ends: Named[]): void {
    this.#ends = ends.sort((one, other) => Buffer.compare(one.name, other.name));
    this.#places.clear();
    for (const [place, { end }] of this.#ends.entries()) this.#places.set(end.ref, place);
    this.#levels = [this.#ends.map(({ end }) => leafHash(end))];
    for (let below = this.#levels[0]; below !== undefined && below.length > 1; below = this.#levels.at(-1)) {
      const level = below;
      const above = Array.from({ length: Math.ceil(level.length / 2) }, (_, at) => nodeAbove(level, at));
      this.#levels.push(above);
    }
  }

  #climb(moved: ReadonlySet<number>): void {
    const [leaves] = this.#levels;
    for (const place of moved) {
      const named = this.#ends[place];
      if (leaves !== undefined && named !== undefined) leaves[place] = leafHash(named.end);
    }
    let dirty = moved;
    for (const [height, above] of this.#levels.slice(1).entries()) {
      dirty = new Set([...dirty].map((at) => at >> 1));
      for (const at of dirty) above[at] = nodeAbove(this.#levels[height] ?? [], at);
    }
  }
}

function leafHash({ ref, sequence, hash }: ChainEnd): Buffer {
  return createHash("sha256")
    .update(Buffer.of(0))
    .update(JSON.stringify([ref, sequence, hash]))
    .digest();
}

function nodeAbove(below: readonly Buffer[], at: number): Buffer {
  const [left, right] = below.slice(at * 2, at * 2 + 2);
  if (left === undefined) throw new Error("a tree has no node above nothing");
  return right === undefined
    ? left
    : createHash("sha256").update(Buffer.of(1)).update(left).update(right).digest();
}
