import { describe, expect, test } from "vitest";
import { introduceKey, keyIdOf, type RootLine, signRoot } from "./audit-root.ts";
import { signerOf } from "./audit-roots.contract.ts";
import { MerkleTree } from "./merkle.ts";
import { RootsList } from "./roots-list.ts";

const [mine, other] = [signerOf(1), signerOf(2)];
const written = { at: 5, installation: "mine" };
type End = RootLine["changed"][number];
const end = (ref: string, sequence: number): End => ({ ref, sequence, hash: `${sequence}` });

/** A list with a key and a root over two chains. */
function begun(): RootsList {
  const list = new RootsList("mine");
  list.introduce(mine.publicKey, mine, 5);
  list.sign({ changed: [end("a", 3), end("b", 2)], accepted: [] }, mine, 5);
  return list;
}

/** A root that is signed with the right key, whatever it says. */
function signedRoot(
  changed: readonly End[],
  accepted: string[],
  after: readonly End[],
  signer = mine,
): RootLine {
  const tree = new MerkleTree();
  tree.set(after);
  return signRoot(
    { chains: tree.size, root: tree.root, accepted, changed: [...changed] },
    signer,
    begun(),
    written,
  );
}

describe("who has the key still cannot", () => {
  test.each([
    ["shorten a chain", signedRoot([end("a", 2)], [], [end("a", 2), end("b", 2)])],
    [
      "change an entry",
      signedRoot([{ ...end("a", 3), hash: "x" }], [], [{ ...end("a", 3), hash: "x" }, end("b", 2)]),
    ],
    ["leave a chain out", signedRoot([end("a", 4)], [], [end("a", 4)])],
    ["name a change that is none", signedRoot([end("a", 3)], [], [end("a", 3), end("b", 2)])],
    ["name a chain twice", signedRoot([end("a", 4), end("a", 5)], [], [end("a", 5), end("b", 2)])],
    ["keep a change to themselves", signedRoot([], [], [end("a", 4), end("b", 2)])],
    ["accept what has not changed", signedRoot([end("a", 4)], ["b"], [end("a", 4), end("b", 2)])],
    ["count otherwise", { ...signedRoot([end("a", 4)], [], [end("a", 4), end("b", 2)]), chains: 3 }],
  ])("%s", (_, line) => {
    expect(begun().add(line)).toBe("changed");
  });
});

test.each([
  ["grows", signedRoot([end("a", 4)], [], [end("a", 4), end("b", 2)])],
  ["gets a new one", signedRoot([end("c", 1)], [], [end("a", 3), end("b", 2), end("c", 1)])],
  ["was accepted as it is", signedRoot([end("a", 1)], ["a"], [end("a", 1), end("b", 2)])],
  [
    "was accepted as lost",
    signedRoot(
      [{ ref: "a", sequence: 0, hash: "" }],
      ["a"],
      [{ ref: "a", sequence: 0, hash: "" }, end("b", 2)],
    ),
  ],
])("takes a root of a chain that %s", (_, line) => {
  const list = begun();
  expect(list.add(line)).toBeUndefined();
  expect(list).toMatchObject({ number: 3, hash: line.hash, last: line });
});

describe("a line is unsigned", () => {
  const root = signedRoot([end("a", 4)], [], [end("a", 4), end("b", 2)], other);
  test("that another key has signed", () => {
    expect(begun().add(root)).toBe("unsigned");
  });

  test("that another key has signed in this key's name", () => {
    const tree = { chains: root.chains, root: root.root, accepted: [], changed: root.changed };
    const liar = { publicKey: mine.publicKey, sign: other.sign };
    expect(begun().add(signRoot(tree, liar, begun(), written))).toBe("unsigned");
  });

  test("that introduces a key which the one before it has not signed", () => {
    expect(begun().add(introduceKey(other.publicKey, other, begun(), written))).toBe("unsigned");
    expect(begun().add(introduceKey(other.publicKey, mine, begun(), written))).toBeUndefined();
  });

  test("that is a root before any key, or a first key which has not signed itself", () => {
    const start = { number: 0, hash: "" };
    const empty = { chains: 0, root: new MerkleTree().root, accepted: [], changed: [] };
    expect(new RootsList("mine").add(signRoot(empty, mine, start, written))).toBe("unsigned");
    expect(new RootsList("mine").add(introduceKey(other.publicKey, mine, start, written))).toBe("unsigned");
  });

  test("by a key that was replaced", () => {
    const list = begun();
    list.introduce(other.publicKey, mine, 5);
    const changed = [end("a", 4)];
    const tree = new MerkleTree();
    tree.set([end("a", 4), end("b", 2)]);
    const line = signRoot({ chains: 2, root: tree.root, accepted: [], changed }, mine, list, written);
    expect(list.add(line)).toBe("unsigned");
  });
});

test("keys are known by the beginning of their hash", () => {
  // printf '%064d' 0 | xxd -r -p | sha256sum
  expect(keyIdOf("00".repeat(32))).toBe("66687aadf862bd77");
});
