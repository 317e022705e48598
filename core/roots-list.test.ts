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

const grown = [end("a", 4), end("b", 2)];

/** The right root, over so many chains that there are not. */
async function miscounted(): Promise<RootLine> {
  const tree = new MerkleTree();
  tree.set(grown);
  const said = { chains: 3, root: tree.root, accepted: [], changed: [end("a", 4)] };
  return signRoot(said, mine, await begun(), written);
}

describe("a list", () => {
  test("begins empty", () => {
    const list = new RootsList("mine");
    expect(list).toMatchObject({ number: 0, hash: "", last: undefined, key: undefined, keys: [] });
  });

  test("is read as it was written, line by line", async () => {
    const [list, reader] = [new RootsList("mine"), new RootsList("mine")];
    const key = await list.introduce(mine.publicKey, mine, 5);
    const root = await list.sign({ changed: grown, accepted: [] }, mine, 6);
    const next = await list.introduce(other.publicKey, mine, 7);
    const last = await list.sign({ changed: [end("b", 1)], accepted: ["b"] }, other, 8);
    expect(key).toMatchObject({ kind: "key", number: 1, at: 5, installation: "mine", previousHash: "" });
    expect(root).toMatchObject({ number: 2, at: 6, installation: "mine", chains: 2, changed: grown });
    expect(next).toMatchObject({ number: 3, at: 7, previousHash: root.hash, publicKey: other.publicKey });
    expect(last).toMatchObject({ number: 4, at: 8, accepted: ["b"], root: list.tree.root });
    for (const line of [key, root, next, last]) {
      expect(reader.add(line)).toBeUndefined();
      expect(reader).toMatchObject({ number: line.number, hash: line.hash });
    }
    const introduced = (publicKey: string, number: number, at: number) => {
      return { publicKey, keyId: keyIdOf(publicKey), number, at };
    };
    for (const { keys, last: newest, tree } of [list, reader]) {
      expect(keys).toEqual([introduced(mine.publicKey, 1, 5), introduced(other.publicKey, 3, 7)]);
      expect(newest).toEqual(last);
      expect([tree.end("a"), tree.end("b")]).toEqual([end("a", 4), end("b", 1)]);
    }
  });
});

describe("a line does not follow that", () => {
  const line = signedRoot([end("a", 4)], [], grown);
  test.each([
    ["gap", { number: 4 }],
    ["gap", { number: 2 }],
    ["unlinked", { previousHash: "0".repeat(64) }],
    ["foreign", { installation: "another" }],
    ["changed", { hash: "0".repeat(64) }],
    ["changed", { at: 6 }],
  ])("has a fault: %s, by %j", async (fault, changes) => {
    const list = await begun();
    const { number, hash, last } = list;
    expect(list.add({ ...(await line), ...changes })).toBe(fault);
    expect(list).toMatchObject({ number, hash, last });
  });
});

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
      "shorten a chain beside one that grows",
      signedRoot([end("a", 4), end("b", 1)], [], [end("a", 4), end("b", 1)]),
    ],
    ["count otherwise", miscounted()],
    ["count otherwise later", signedRoot([end("a", 4)], [], grown).then((line) => ({ ...line, chains: 3 }))],
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

  test("that this key has signed in another key's name", async () => {
    const { chains, root, accepted, changed } = await signed;
    const modest = { publicKey: other.publicKey, sign: mine.sign };
    const line = await signRoot({ chains, root, accepted, changed }, modest, await begun(), written);
    expect((await begun()).add(line)).toBe("unsigned");
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
