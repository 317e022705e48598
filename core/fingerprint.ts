import { createHmac, createSecretKey, hkdfSync } from "node:crypto";
import type { Fingerprinter } from "./ports.ts";
import type { Secret } from "./secret.ts";

/** A fingerprint key. The id is shown in every fingerprint that it made. */
export interface FingerprintKey {
  readonly id: string;
  readonly bytes: Uint8Array;
}

/** What a key serves for, each made from it for that alone: an id that tells keys apart, and what makes fingerprints. */
export function keyPart(
  key: Uint8Array,
  purpose: "id" | "encryption" | "fingerprint",
  length: number,
): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", key, "", `keyturn/${purpose}`, length));
}

/** Of 32 bytes of chance. The same bytes make the same fingerprints wherever they are kept. */
export function fingerprintKeyOf(bytes: Uint8Array): FingerprintKey {
  return {
    id: Buffer.from(keyPart(bytes, "id", 8)).toString("hex"),
    bytes: keyPart(bytes, "fingerprint", 32),
  };
}

/** A key as a person or a service writes it: 32 bytes in base64. Undefined: it is none. */
export function parseKey(text: string): Uint8Array | undefined {
  return /^[A-Za-z0-9+/_-]{43}=?$/.test(text) ? Buffer.from(text, "base64") : undefined;
}

/**
 * Fingerprints are `<key id>:<HMAC-SHA-256, first 128 bits, hex>`. Whoever lacks the key learns nothing from one, not even by
 * guessing; a truncated tag still makes two values meet by chance only once in 2^64 of them.
 */
export function createFingerprinter(
  newestFirst: readonly [FingerprintKey, ...FingerprintKey[]],
): Fingerprinter {
  // Prepared once: a leaked text is tried in thousands of readings, and to prepare a key takes longer than to use it.
  const [newest, all] = [prepared(newestFirst[0]), newestFirst.map(prepared)];
  return { fingerprint: newest, candidates: (text) => all.map((by) => by(text)) };
}

function prepared({ id, bytes }: FingerprintKey): (text: string) => string {
  const key = createSecretKey(bytes);
  return (text) => `${id}:${createHmac("sha256", key).update(text).digest("hex").slice(0, 32)}`;
}

/**
 * What is guessed within 2^40 tries is not kept: whoever may ask whether a value is known could find it by asking. Such a value is
 * revoked by the name of its secret.
 */
const entropyFloorBits = 40;

/** No shorter text reaches the floor, however varied it is: 11 × log2(11) is 38. */
const charactersMin = 12;
const beginning = 64;

/** Whether a value is long and varied enough to be found by its fingerprint. */
export function isTelling(text: string): boolean {
  if (text.length < charactersMin) return false;
  // More characters never make it less: the beginning of a long text mostly says enough.
  return (
    entropyBits(text.slice(0, beginning)) >= entropyFloorBits ||
    (text.length > beginning && entropyBits(text) >= entropyFloorBits)
  );
}

/** Fingerprints of the fields that are long and varied enough not to be found by chance; others are left out. */
export function fingerprintFields(
  fields: Readonly<Record<string, Secret>>,
  fingerprinter: Fingerprinter,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields)
      .filter(([, secret]) => isTelling(secret.reveal()))
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
