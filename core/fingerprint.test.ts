import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  createFingerprinter,
  entropyBits,
  fingerprintFields,
  fingerprintKeyOf,
  keyPart,
  parseKey,
} from "./fingerprint.ts";
import { Secret } from "./secret.ts";

const key = (id: string, fill: number) => ({ id, bytes: new Uint8Array(32).fill(fill) });
const newest = key("k2", 2);
const older = key("k1", 1);
const fingerprinter = createFingerprinter([newest, older]);

describe("a fingerprint", () => {
  test("is the key's id and the first 128 bits of the HMAC, in hex", () => {
    const tag = createHmac("sha256", newest.bytes).update("pa55 ü").digest("hex").slice(0, 32);
    expect(fingerprinter.fingerprint("pa55 ü")).toBe(`k2:${tag}`);
  });

  test("is always the same of the same text, and another of any other", () => {
    const texts = ["", "a", "A", "a ", "ab", "ü", "u\u0308"];
    expect(fingerprinter.fingerprint("a")).toBe(fingerprinter.fingerprint("a"));
    expect(new Set(texts.map((text) => fingerprinter.fingerprint(text))).size).toBe(texts.length);
  });

  test("says nothing to those who have another key, even one of the same name", () => {
    const stranger = createFingerprinter([key("k2", 3)]);
    expect(stranger.fingerprint("a")).not.toBe(fingerprinter.fingerprint("a"));
  });

  test("is made by the newest key, and found by every key, the newest first", () => {
    const before = createFingerprinter([older]);
    expect(fingerprinter.candidates("a")).toEqual([fingerprinter.fingerprint("a"), before.fingerprint("a")]);
    expect(fingerprinter.fingerprint("a")).toBe(fingerprinter.candidates("a")[0]);
  });
});

describe("the entropy of a text", () => {
  test.each([
    ["", 0],
    ["aaaaaaaaaaaaaaaaaaaa", 0],
    ["ab", 2],
    ["aabb", 4],
    ["abcd", 8],
    ["abcdefgh", 24],
    // One character, though it has two code units.
    ["😀", 0],
    ["😀a", 2],
  ])("of %j is %d bits", (text, bits) => {
    expect(entropyBits(text)).toBeCloseTo(bits, 9);
  });
});

describe("the fingerprints of fields", () => {
  test.each([
    ["a generated password", "q9Xv2LmT8rZk4WcN", true],
    ["a key in hex", "9f86d081884c7d659a2feaa0c55ad015", true],
    ["a short word", "changeme", false],
    ["a long text of one letter", "a".repeat(500), false],
    ["a short PIN", "493817", false],
    ["nothing", "", false],
    ["exactly enough, 40 bits", "abcdabcdabcdabcdabcd", true],
    // 12 different characters: 43 bits; 11 of them: 38.
    ["just enough", "abcdefghijkl", true],
    ["just not enough", "abcdefghijk", false],
  ])("%s: long and varied enough is %3$s", (_, text, expected) => {
    const fields = fingerprintFields({ password: new Secret(text) }, fingerprinter);
    expect(fields).toEqual(expected ? { password: fingerprinter.fingerprint(text) } : {});
  });

  test("are given for each field that is, under its name", () => {
    const one = "q9Xv2LmT8rZk4WcN";
    const fields = fingerprintFields(
      { one: new Secret(one), short: new Secret("x"), other: new Secret(`${one}2`) },
      fingerprinter,
    );
    expect(Object.keys(fields)).toEqual(["one", "other"]);
    expect(JSON.stringify(fields)).not.toContain(one);
  });

  test("are given where only the end of a long text is varied", () => {
    const dull = "a".repeat(70);
    expect(fingerprintFields({ dull: new Secret(dull) }, fingerprinter)).toEqual({});
    const fields = fingerprintFields({ varied: new Secret(`${dull}q9Xv2LmT8rZk4WcN`) }, fingerprinter);
    expect(Object.keys(fields)).toEqual(["varied"]);
  });
});

describe("a key", () => {
  const bytes = Buffer.alloc(32, 1);

  test("makes an id and a key for fingerprints, always the same", () => {
    const { id, bytes: made } = fingerprintKeyOf(bytes);
    // By Python's hmac: HKDF-SHA-256 without salt, for "keyturn/id" and "keyturn/fingerprint".
    expect(id).toBe("037df88788138782");
    expect(createFingerprinter([{ id, bytes: made }]).fingerprint("s3cr3t-of-some-length")).toBe(
      "037df88788138782:528f312c01fe62f7ab54c7c1ac3a6e02",
    );
    expect(made).toHaveLength(32);
  });

  test("has another part for each purpose", () => {
    const parts = (["id", "encryption", "fingerprint"] as const).map((purpose) =>
      keyPart(bytes, purpose, 16),
    );
    expect(new Set(parts.map((part) => Buffer.from(part).toString("hex"))).size).toBe(3);
    expect(parts.map(({ length }) => length)).toEqual([16, 16, 16]);
  });

  test.each([
    ["base64", "+/+/".repeat(10).concat("+/8="), true],
    ["base64 without its end", "+/+/".repeat(10).concat("+/8"), true],
    ["base64 for addresses", "-_-_".repeat(10).concat("-_8"), true],
    ["43 letters and digits", "a".repeat(43), true],
    ["31 bytes", Buffer.alloc(31).toString("base64"), false],
    ["33 bytes", Buffer.alloc(33).toString("base64"), false],
    ["something before it", `!${"a".repeat(43)}`, false],
    ["something behind it", `${"a".repeat(43)}!`, false],
    ["nothing", "", false],
  ])("is read as 32 bytes or not at all: %s", (_, text, expected) => {
    expect(parseKey(text)).toEqual(expected ? Buffer.from(text, "base64") : undefined);
  });
});
