import { createHash, createPublicKey, verify } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  Anchor,
  anchorOf,
  hashOfLine,
  introduceKey,
  isAhead,
  isSignedBy,
  keyIdOf,
  RootsLine,
  signRoot,
} from "./audit-root.ts";
import { signerOf } from "./audit-roots.contract.ts";

const [mine, next] = [signerOf(1), signerOf(2)];
const keyId = createHash("sha256").update(Buffer.from(mine.publicKey, "hex")).digest("hex").slice(0, 16);
const end = { number: 6, hash: "c".repeat(64) };
const written = { at: 5, installation: "mine" };
const tree = {
  chains: 2,
  root: "d".repeat(64),
  accepted: ["app/old", "app/older"],
  changed: [{ ref: "app/db", sequence: 3, hash: "ab" }],
};
const key = await introduceKey(next.publicKey, mine, end, written);
const root = await signRoot(tree, mine, end, written);

/** As a stranger verifies a line: by the text that the page about the format gives, and nothing of ours. */
function verifies(text: string, { hash, signature }: RootsLine): boolean {
  const x = Buffer.from(mine.publicKey, "hex").toString("base64url");
  const jwk = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const signed = verify(null, Buffer.from(text), jwk, Buffer.from(signature, "base64"));
  return signed && createHash("sha256").update(text).digest("hex") === hash;
}

describe("a line is made", () => {
  test("for a key", () => {
    const { hash, signature } = key;
    const common = { number: 7, at: 5, installation: "mine", previousHash: end.hash, keyId };
    expect(key).toEqual({ kind: "key", ...common, publicKey: next.publicKey, hash, signature });
    const text = `["keyturn-audit-key-1",7,5,"mine","${next.publicKey}","${end.hash}","${keyId}"]`;
    expect(verifies(text, key)).toBe(true);
    expect(verifies(text.replace("mine", "Mine"), key)).toBe(false);
  });

  test("for a root", () => {
    const { hash, signature } = root;
    const common = { number: 7, at: 5, installation: "mine", previousHash: end.hash, keyId };
    expect(root).toEqual({ kind: "root", ...common, ...tree, hash, signature });
    const text = `["keyturn-audit-root-1",7,5,"mine",2,"${tree.root}",["app/old","app/older"],"${end.hash}","${keyId}"]`;
    expect(verifies(text, root)).toBe(true);
  });
});

describe("a signature", () => {
  test("is of the key that made it, and of no other", () => {
    for (const line of [key, root]) {
      expect(isSignedBy(mine.publicKey, line)).toBe(true);
      expect(isSignedBy(next.publicKey, line)).toBe(false);
      expect(hashOfLine(line)).toBe(line.hash);
    }
  });

  test.each([
    { number: 8 },
    { at: 6 },
    { installation: "Mine" },
    { previousHash: "e".repeat(64) },
    { keyId: "0".repeat(16) },
    { chains: 3 },
    { root: "e".repeat(64) },
    { accepted: ["app/old"] },
    { signature: key.signature },
  ])("is not of a root with %j", (changes) => {
    expect(isSignedBy(mine.publicKey, { ...root, ...changes })).toBe(false);
  });

  test("is of a root without its changes, as it is kept elsewhere", () => {
    const { changed: _, ...rest } = root;
    expect(anchorOf(root)).toEqual(rest);
    expect(isSignedBy(mine.publicKey, anchorOf(root))).toBe(true);
    expect(hashOfLine(anchorOf(root))).toBe(root.hash);
  });
});

const without = (line: object) =>
  Object.keys(line).map((field) => [
    field,
    Object.fromEntries(Object.entries(line).filter(([name]) => name !== field)),
  ]);

describe("a line is read", () => {
  test("as it was written, and an anchor without what has changed", () => {
    expect(RootsLine.parse(key)).toEqual(key);
    expect(RootsLine.parse(root)).toEqual(root);
    expect(Anchor.parse(root)).toEqual(anchorOf(root));
    expect(RootsLine.safeParse({ ...root, number: 0, chains: 0, at: -1 }).success).toBe(true);
  });

  test.each(without(key))("for a key not without its %s", (_, line) => {
    expect(RootsLine.safeParse(line).success).toBe(false);
  });

  test.each(without(root))("for a root not without its %s", (field, line) => {
    expect(RootsLine.safeParse(line).success).toBe(false);
    expect(Anchor.safeParse(line).success).toBe(field === "changed");
  });

  test.each([
    { kind: "key" },
    { kind: "other" },
    { number: -1 },
    { number: 1.5 },
    { at: 1.5 },
    { chains: -1 },
    { chains: 1.5 },
    { root: "D".repeat(64) },
    { root: "d".repeat(63) },
    { root: "d".repeat(65) },
    { root: `${"d".repeat(64)}\nx` },
    { root: `x\n${"d".repeat(64)}` },
    { keyId: "0".repeat(15) },
    { keyId: "0".repeat(17) },
    { hash: "0".repeat(63) },
    { accepted: [1] },
    { changed: [{}] },
    { changed: [{ ref: "app/db", sequence: -1, hash: "ab" }] },
    { changed: [{ ref: "app/db", sequence: 1.5, hash: "ab" }] },
    { changed: [{ ref: 5, sequence: 1, hash: "ab" }] },
  ])("for a root not with %j", (changes) => {
    expect(RootsLine.safeParse({ ...root, ...changes }).success).toBe(false);
  });

  test("for a key not with one that is none", () => {
    expect(RootsLine.safeParse({ ...key, publicKey: "0".repeat(63) }).success).toBe(false);
  });
});

test("keys are known by the beginning of their hash", () => {
  // printf '%064d' 0 | xxd -r -p | sha256sum
  expect(keyIdOf("00".repeat(32))).toBe("66687aadf862bd77");
});

test.each([
  [3, 2, true],
  [3, 3, false],
  [2, 3, false],
  [1, undefined, true],
  [0, undefined, false],
])("a chain at %i is ahead of one at %s: %s", (sequence, before, expected) => {
  const known = before === undefined ? undefined : { ref: "app/db", sequence: before, hash: "b" };
  expect(isAhead({ ref: "app/db", sequence, hash: "a" }, known)).toBe(expected);
});
