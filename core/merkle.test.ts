import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ChainEnd, MerkleTree } from "./merkle.ts";

function sha256(...parts: readonly (string | Uint8Array)[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** RFC 6962, section 2.1, word by word: split at the largest power of two below the size. */
function rootOf(leaves: readonly string[]): Buffer {
  const [only] = leaves;
  if (only === undefined) return sha256();
  if (leaves.length === 1) return sha256(Buffer.of(0), only);
  let half = 1;
  while (half * 2 < leaves.length) half *= 2;
  return sha256(Buffer.of(1), rootOf(leaves.slice(0, half)), rootOf(leaves.slice(half)));
}

/** What the root should be, from nothing but the ends. */
function expectedRoot(ends: Iterable<ChainEnd>): string {
  const named = [...ends].map((end) => ({ ...end, bytes: Buffer.from(end.ref).toString("hex") }));
  const sorted = named.sort((one, other) => (one.bytes < other.bytes ? -1 : 1));
  return rootOf(sorted.map(({ ref, sequence, hash }) => JSON.stringify([ref, sequence, hash]))).toString(
    "hex",
  );
}

const end = (ref: string, sequence = 1): ChainEnd => ({
  ref,
  sequence,
  hash: sha256(ref, `${sequence}`).toString("hex"),
});

describe("the tree over the ends of chains", () => {
  test("of nothing is the hash of nothing", () => {
    expect(new MerkleTree().root).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  });

  test("of one leaf is what a stranger computes by hand", () => {
    const tree = new MerkleTree();
    tree.set([{ ref: "app/db", sequence: 3, hash: "ab" }]);
    // printf '\0["app/db",3,"ab"]' | sha256sum
    expect(tree.root).toBe("ae1a97e326b61527605049b3e700e3f9d42a4e7d64c1edac372c9c06249bfd7b");
  });

  test.each([1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 100])("of %i chains is RFC 6962's", (size) => {
    const ends = Array.from({ length: size }, (_, at) => end(`app/${at}`));
    const tree = new MerkleTree();
    tree.set(ends);
    expect(tree.root).toBe(expectedRoot(ends));
    expect(tree.size).toBe(size);
  });

  test.each([1, 2, 3, 5, 9])("of %i chains follows each one that grows", (size) => {
    const ends = Array.from({ length: size }, (_, at) => end(`app/${at}`));
    const tree = new MerkleTree();
    tree.set(ends);
    for (const at of ends.keys()) {
      ends[at] = end(`app/${at}`, 2);
      tree.set(ends.slice(at, at + 1));
      expect(tree.root).toBe(expectedRoot(ends));
    }
  });

  test("is the same whatever came when: in parts, in any order, again and grown", () => {
    const names = fc.string({ unit: fc.constantFrom(..."abB/é\0\uff5e\u{1f600}"), maxLength: 4 });
    const changes = fc.array(fc.array(fc.tuple(names, fc.nat(9))), { maxLength: 6 });
    fc.assert(
      fc.property(changes, (steps) => {
        const tree = new MerkleTree();
        const ends = new Map<string, ChainEnd>();
        for (const step of steps) {
          const changed = new Map(step.map(([ref, sequence]) => [ref, end(ref, sequence)]));
          for (const [ref, one] of changed) ends.set(ref, one);
          tree.set([...changed.values()]);
          expect(tree.root).toBe(expectedRoot(ends.values()));
          expect(tree.size).toBe(ends.size);
        }
        for (const [ref, one] of ends) expect(tree.end(ref)).toEqual(one);
      }),
      { numRuns: 100 },
    );
  });

  test("knows the end of each chain, and none of another", () => {
    const tree = new MerkleTree();
    expect(tree.end("app/1")).toBeUndefined();
    tree.set([end("app/2"), end("app/1"), end("app/3")]);
    tree.set([end("app/1", 2)]);
    expect(["app/1", "app/2", "app/3"].map((ref) => tree.end(ref))).toEqual([
      end("app/1", 2),
      end("app/2"),
      end("app/3"),
    ]);
    expect(tree.end("app/0")).toBeUndefined();
  });

  test("orders by bytes, not by the halves of characters that some languages count", () => {
    const tree = new MerkleTree();
    tree.set([end("\u{1f600}"), end("\uff5e"), end("a"), end("B")]);
    expect(tree.refs).toEqual(["B", "a", "\uff5e", "\u{1f600}"]);
  });

  test("differs when any end does", () => {
    const ends = Array.from({ length: 9 }, (_, at) => end(`app/${at}`));
    const roots = new Set<string>();
    const root = (changed: readonly ChainEnd[]): string => {
      const tree = new MerkleTree();
      tree.set(changed);
      return tree.root;
    };
    roots.add(root(ends));
    for (const at of ends.keys()) {
      roots.add(root(ends.with(at, end(`app/${at}`, 2))));
      roots.add(root(ends.with(at, end(`other/${at}`))));
      roots.add(root(ends.toSpliced(at, 1)));
    }
    expect(roots.size).toBe(1 + 3 * ends.length);
  });

  test("of two thousand chains costs a path, and not the whole tree, for one that has grown", () => {
    const all = Array.from({ length: 2_000 }, (_, at) => end(`app/${at}`));
    const tree = new MerkleTree();
    tree.set(all);
    const timed = (work: () => void): number => {
      const began = performance.now();
      work();
      return performance.now() - began;
    };
    const paths = timed(() => {
      for (let round = 2; round < 52; round += 1) tree.set([end("app/7", round), end("app/1999", round)]);
    });
    // A hundred paths are 1,200 hashes; five trees 20,000.
    const trees = timed(() => {
      for (let round = 0; round < 5; round += 1) new MerkleTree().set(all);
    });
    expect(paths).toBeLessThan(trees);
  });
});
