import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createFingerprinter, entropyBits, fingerprintFields } from "./fingerprint.ts";
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
