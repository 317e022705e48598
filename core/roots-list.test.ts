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
async function begun(): Promise<RootsList> {
  const list = new RootsList("mine");
  await list.introduce(mine.publicKey, mine, 5);
  await list.sign({ changed: [end("a", 3), end("b", 2)], accepted: [] }, mine, 5);
  return list;
}

/** A root that is signed with the right key, whatever it says. */
async function signedRoot(
  changed: readonly End[],
  accepted: string[],
  after: readonly End[],
  signer = mine,
): Promise<RootLine> {
  const tree = new MerkleTree();
  tree.set(after);
  return signRoot(
    { chains: tree.size, root: tree.root, accepted, changed: [...changed] },
    signer,
    await begun(),
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
    [
      "count otherwise",
      signedRoot([end("a", 4)], [], [end("a", 4), end("b", 2)]).then((line) => ({ ...line, chains: 3 })),
    ],
  ])("%s", async (_, line) => {
    expect((await begun()).add(await line)).toBe("changed");
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
])("takes a root of a chain that %s", async (_, made) => {
  const [list, line] = [await begun(), await made];
  expect(list.add(line)).toBeUndefined();
  expect(list).toMatchObject({ number: 3, hash: line.hash, last: line });
});

describe("a line is unsigned", () => {
  const signed = signedRoot([end("a", 4)], [], [end("a", 4), end("b", 2)], other);
  test("that another key has signed", async () => {
    expect((await begun()).add(await signed)).toBe("unsigned");
  });

  test("that another key has signed in this key's name", async () => {
    const root = await signed;
    const tree = { chains: root.chains, root: root.root, accepted: [], changed: root.changed };
    const liar = { publicKey: mine.publicKey, sign: other.sign };
    expect((await begun()).add(await signRoot(tree, liar, await begun(), written))).toBe("unsigned");
  });

  test("that introduces a key which the one before it has not signed", async () => {
    expect((await begun()).add(await introduceKey(other.publicKey, other, await begun(), written))).toBe(
      "unsigned",
    );
    expect(
      (await begun()).add(await introduceKey(other.publicKey, mine, await begun(), written)),
    ).toBeUndefined();
  });

  test("that is a root before any key, or a first key which has not signed itself", async () => {
    const start = { number: 0, hash: "" };
    const empty = { chains: 0, root: new MerkleTree().root, accepted: [], changed: [] };
    expect(new RootsList("mine").add(await signRoot(empty, mine, start, written))).toBe("unsigned");
    expect(new RootsList("mine").add(await introduceKey(other.publicKey, mine, start, written))).toBe(
      "unsigned",
    );
  });

  test("by a key that was replaced", async () => {
    const list = await begun();
    await list.introduce(other.publicKey, mine, 5);
    const changed = [end("a", 4)];
    const tree = new MerkleTree();
    tree.set([end("a", 4), end("b", 2)]);
    const line = await signRoot({ chains: 2, root: tree.root, accepted: [], changed }, mine, list, written);
    expect(list.add(line)).toBe("unsigned");
  });
});

test("keys are known by the beginning of their hash", () => {
  // printf '%064d' 0 | xxd -r -p | sha256sum
  expect(keyIdOf("00".repeat(32))).toBe("66687aadf862bd77");
});
