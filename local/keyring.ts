import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { KeyturnError } from "../core/errors.ts";
import { createFingerprinter, type FingerprintKey, fingerprintKeyOf, keyPart } from "../core/fingerprint.ts";
import type { Fingerprinter } from "../core/ports.ts";

/** A value at rest. */
export interface SealedValue {
  readonly keyId: string;
  readonly iv: Uint8Array;
  /** The ciphertext, and after it the tag. */
  readonly sealed: Uint8Array;
}

interface StoreKey {
  /** Made from the key, so that it tells a wrong key from the right one. */
  readonly id: string;
  readonly encryption: Uint8Array;
  readonly fingerprint: FingerprintKey;
}

const algorithm = "aes-256-gcm";
const ivLength = 12;
const tagLength = 16;

/** The keys of a store, the newest first: it seals; the older ones only open what they once sealed. */
export class Keyring {
  readonly #newest: StoreKey;
  readonly #keys: ReadonlyMap<string, StoreKey>;
  readonly fingerprinter: Fingerprinter;

  constructor(newestFirst: readonly Uint8Array[]) {
    const [newest, ...older] = newestFirst.map(derive);
    if (newest === undefined) throw new KeyturnError("key-missing", "no key was given");
    this.#newest = newest;
    this.#keys = new Map([newest, ...older].map((key) => [key.id, key]));
    this.fingerprinter = createFingerprinter([
      newest.fingerprint,
      ...older.map(({ fingerprint }) => fingerprint),
    ]);
  }

  get newestId(): string {
    return this.#newest.id;
  }

  get ids(): readonly string[] {
    return [...this.#keys.keys()];
  }

  /** `place` is authenticated with the value: sealed for one place, it cannot be opened at another. */
  seal(text: string, place: string): SealedValue {
    const iv = randomBytes(ivLength);
    const cipher = createCipheriv(algorithm, this.#newest.encryption, iv);
    cipher.setAAD(Buffer.from(place));
    const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
    return { keyId: this.#newest.id, iv, sealed };
  }

  /** Undefined: it is not what was sealed for this place. */
  open({ keyId, iv, sealed }: SealedValue, place: string): string | undefined {
    const key = this.#keys.get(keyId);
    if (key === undefined) throw new KeyturnError("key-missing", `the key ${keyId} was not given`);
    if (iv.length !== ivLength || sealed.length < tagLength) return undefined;
    const decipher = createDecipheriv(algorithm, key.encryption, iv, { authTagLength: tagLength });
    decipher.setAAD(Buffer.from(place));
    decipher.setAuthTag(sealed.subarray(-tagLength));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(0, -tagLength)), decipher.final()]).toString(
        "utf8",
      );
    } catch {
      return undefined;
    }
  }
}

function derive(key: Uint8Array): StoreKey {
  const fingerprint = fingerprintKeyOf(key);
  return { id: fingerprint.id, encryption: keyPart(key, "encryption", 32), fingerprint };
}
