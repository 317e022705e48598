import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  type SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import { KeyturnError } from "../core/errors.ts";
import { createFingerprinter, fingerprintKeyOf, parseKey } from "../core/fingerprint.ts";
import type { Fingerprinter } from "../core/ports.ts";
import { type AwsPart, awsErrorName, translateAws } from "./aws-errors.ts";

const part: AwsPart = { name: "Secrets Manager", outage: "store-unavailable" };

/** Fingerprints by keys that are a secret of their own: one key in base64, or a JSON list of them, the newest first. */
export async function readFingerprinter(
  client: SecretsManagerClient,
  secretId: string,
): Promise<Fingerprinter> {
  const [newest, ...older] = keysIn(await read(client, secretId), secretId).map(fingerprintKeyOf);
  if (newest === undefined) throw missing(secretId, "holds no key");
  return createFingerprinter([newest, ...older]);
}

/** Sees that the keys are there, and does not read them. Throws `key-missing` where they are not, or will not be. */
export async function assertKeysThere(client: SecretsManagerClient, SecretId: string): Promise<void> {
  const { DeletedDate } = await client
    .send(new DescribeSecretCommand({ SecretId }))
    .catch((thrown: unknown) => {
      if (awsErrorName(thrown) === "ResourceNotFoundException") throw missing(SecretId, "is not there");
      throw translateAws(thrown, part, `looking for the fingerprint keys in ${SecretId}`);
    });
  if (DeletedDate === undefined) return;
  throw missing(
    SecretId,
    `is to be deleted: restore it (aws secretsmanager restore-secret --secret-id ${SecretId})`,
  );
}

/**
 * Fingerprints of a function. Its keys are read by the first event that may need them, before anything else is done for it, and once: a function starts
 * without them, and whoever only sees what is due never asks for them. A key that is put in front is first put at the end, so that
 * whoever has read them before knows it already.
 */
export class LateFingerprinter implements Fingerprinter {
  readonly #read: () => Promise<Fingerprinter>;
  #reading: Promise<void> | undefined;
  #known: Fingerprinter | undefined;

  constructor(read: () => Promise<Fingerprinter>) {
    this.#read = read;
  }

  /** Has to have come to its end before the first fingerprint is made. What failed is tried again by whoever asks next. */
  async ready(): Promise<void> {
    this.#reading ??= this.#begin();
    await this.#reading;
  }

  fingerprint(text: string): string {
    return this.#keyed().fingerprint(text);
  }

  candidates(text: string): readonly string[] {
    return this.#keyed().candidates(text);
  }

  async #begin(): Promise<void> {
    try {
      this.#known = await this.#read();
    } catch (thrown) {
      this.#reading = undefined;
      throw thrown;
    }
  }

  #keyed(): Fingerprinter {
    if (this.#known !== undefined) return this.#known;
    throw new KeyturnError("internal", "a fingerprint is made before its keys were read");
  }
}

async function read(client: SecretsManagerClient, SecretId: string): Promise<string> {
  try {
    const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId }));
    if (SecretString !== undefined) return SecretString;
  } catch (thrown) {
    const name = awsErrorName(thrown);
    // The latter: it waits for its deletion.
    if (name === "ResourceNotFoundException") throw missing(SecretId, "is not there");
    if (name === "InvalidRequestException") throw missing(SecretId, "cannot be read: is it to be deleted?");
    throw translateAws(thrown, part, `reading the fingerprint keys in ${SecretId}`);
  }
  throw missing(SecretId, "holds bytes, not text");
}

function keysIn(text: string, secretId: string): readonly Uint8Array[] {
  return listIn(text).map((key) => {
    const bytes = typeof key === "string" ? parseKey(key) : undefined;
    if (bytes === undefined) throw missing(secretId, "holds something that is not 32 bytes in base64");
    return bytes;
  });
}

function listIn(text: string): readonly unknown[] {
  try {
    const json: unknown = JSON.parse(text);
    return Array.isArray(json) ? json : [json];
  } catch {
    return [text.trim()];
  }
}

/** What is in it goes nowhere, an error least of all. */
function missing(secretId: string, problem: string): KeyturnError {
  return new KeyturnError("key-missing", `the secret ${secretId} with the fingerprint keys ${problem}`);
}
