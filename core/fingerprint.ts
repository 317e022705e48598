import { createHmac } from "node:crypto";
import type { Fingerprinter } from "./ports.ts";
import type { Secret } from "./secret.ts";

/** A fingerprint key. The id is shown in every fingerprint that it made. */
export interface FingerprintKey {
  readonly id: string;
  readonly bytes: Uint8Array;
}

/**
 * Fingerprints are `<key id>:<HMAC-SHA-256, first 128 bits, hex>`. Whoever lacks the key learns nothing from one, not even by
 * guessing; a truncated tag still makes two values meet by chance only once in 2^64 of them.
 */
export function createFingerprinter(
  newestFirst: readonly [FingerprintKey, ...FingerprintKey[]],
): Fingerprinter {
  const by = (key: FingerprintKey, text: string): string =>
    `${key.id}:${createHmac("sha256", key.bytes).update(text, "utf8").digest("hex").slice(0, 32)}`;
  return {
    fingerprint: (text) => by(newestFirst[0], text),
    candidates: (text) => newestFirst.map((key) => by(key, text)),
  };
}

const entropyFloorBits = 40;

/** Fingerprints of the fields that are long and varied enough not to be found by chance; others are left out. */
export function fingerprintFields(
  fields: Readonly<Record<string, Secret>>,
  fingerprinter: Fingerprinter,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields)
      .filter(([, secret]) => entropyBits(secret.reveal()) >= entropyFloorBits)
      .map(([name, secret]) => [name, fingerprinter.fingerprint(secret.reveal())]),
  );
}

/** Shannon entropy of the characters times their number: an estimate from above of what a guesser must try. */
export function entropyBits(text: string): number {
  const characters = [...text];
  const counts = new Map<string, number>();
  for (const character of characters) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= count * Math.log2(count / characters.length);
  return bits;
}
