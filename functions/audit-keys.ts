import {
  CreateAliasCommand,
  CreateKeyCommand,
  DeleteAliasCommand,
  DescribeKeyCommand,
  GetPublicKeyCommand,
  type KMSClient,
  ScheduleKeyDeletionCommand,
  SignCommand,
  UpdateAliasCommand,
} from "@aws-sdk/client-kms";
import { type AuditSigner, keyIdOf } from "../core/audit-root.ts";
import { KeyturnError } from "../core/errors.ts";
import type { AuditKeys } from "../core/ports.ts";
import { type AwsPart, awsErrorName, translateAws } from "./aws-errors.ts";

const part: AwsPart = { name: "KMS", outage: "audit-unavailable" };

/** The key that signs now. */
export const auditAlias = "alias/keyturn-audit";

/** Ed25519 in KMS takes so much of a message as it is. */
const messageMax = 4096;
/** The longest that KMS lets a key wait for its end: until then a person may call it back. */
const deletionDays = 30;

/** The beginning of an Ed25519 public key as KMS gives it, behind which its 32 bytes stand. */
const spki = Buffer.from("302a300506032b6570032100", "hex");

interface Key {
  readonly id: string;
  readonly signer: AuditSigner;
}

/**
 * Keys that never leave KMS. `alias/keyturn-audit` is the one that signs, `…-next` the one that is to follow, and every key made here has an alias
 * of its own by its key id besides: KMS changes an alias without asking what it was, so whoever froze half-way may still turn the first two
 * back, and the key that signs is found all the same.
 */
export function openAuditKeys(client: KMSClient, alias: string = auditAlias): AuditKeys {
  const nextAlias = `${alias}-next`;
  const keyAt = (name: string) => publicKeyOf(client, name);

  const settle = async (publicKey: string): Promise<void> => {
    const [following, current] = [await keyAt(nextAlias), await idOf(client, alias)];
    if (following?.signer.publicKey !== publicKey) return;
    // First: as long as the alias stands, whoever goes on with this knows which one is to go.
    if (current !== undefined && current !== following.id) await drop(client, current);
    await point(client, alias, following.id);
    await ask("letting go of the next key's alias", async () => {
      await client.send(new DeleteAliasCommand({ AliasName: nextAlias })).catch(unless("NotFoundException"));
    });
  };

  const signer = async (publicKey: string | undefined): Promise<AuditSigner> => {
    if (publicKey === undefined) {
      return ((await keyAt(alias)) ?? (await made(client, alias, alias))).signer;
    }
    const current = await keyAt(alias).catch(gone);
    if (current?.signer.publicKey === publicKey) return current.signer;
    // Whoever went on to it has died before it could take its place.
    await settle(publicKey);
    for (const name of [alias, ownAlias(alias, publicKey)]) {
      const found = await keyAt(name).catch(gone);
      if (found?.signer.publicKey !== publicKey) continue;
      if (name !== alias) await point(client, alias, found.id);
      return found.signer;
    }
    throw missing(
      `the audit's roots are signed by the key ${keyIdOf(publicKey)}, and ${alias} is ${
        current === undefined ? "not there" : "another one"
      }: point it to that key, and see that the key is enabled`,
    );
  };

  return {
    signer,
    next: async () => {
      const [current, following] = [await keyAt(alias), await keyAt(nextAlias)];
      if (following !== undefined && following.id !== current?.id) return following.signer;
      // Whoever settled it died before its alias was gone.
      if (following !== undefined) await settle(following.signer.publicKey);
      return (await made(client, nextAlias, alias)).signer;
    },
    settle,
    publicKeys: async () => {
      const keys = [await keyAt(alias), await keyAt(nextAlias)];
      return [...new Set(keys.flatMap((key) => key?.signer.publicKey ?? []))];
    },
  };
}

function ownAlias(alias: string, publicKey: string): string {
  return `${alias}-${keyIdOf(publicKey)}`;
}

/** Makes a key with that alias. Of several that do so at once all get the one that was first. */
async function made(client: KMSClient, name: string, alias: string): Promise<Key> {
  return ask(`making a key for ${name}`, async () => {
    const { KeyMetadata } = await client.send(
      new CreateKeyCommand({
        KeySpec: "ECC_NIST_EDWARDS25519",
        KeyUsage: "SIGN_VERIFY",
        Description: "Signs the roots of Keyturn's audit",
      }),
    );
    const id = KeyMetadata?.KeyId ?? "";
    const key = await publicKeyOf(client, id);
    if (key === undefined) throw missing(`the key ${id} is gone again`);
    try {
      await client.send(
        new CreateAliasCommand({ AliasName: ownAlias(alias, key.signer.publicKey), TargetKeyId: id }),
      );
      await client.send(new CreateAliasCommand({ AliasName: name, TargetKeyId: id }));
      return key;
    } catch (thrown) {
      await drop(client, id);
      if (awsErrorName(thrown) !== "AlreadyExistsException") throw thrown;
      const first = await publicKeyOf(client, name);
      if (first === undefined) throw new KeyturnError("conflict", `${name} is gone again`, { cause: thrown });
      return first;
    }
  });
}

/** The key that a name stands for; undefined where there is no such name. `key-missing` where KMS does not let it be used. */
async function publicKeyOf(client: KMSClient, name: string): Promise<Key | undefined> {
  return ask(`reading the public key of ${name}`, async () => {
    try {
      const { KeyId = "", PublicKey = new Uint8Array() } = await client.send(
        new GetPublicKeyCommand({ KeyId: name }),
      );
      const bytes = Buffer.from(PublicKey);
      if (bytes.length !== spki.length + 32 || !bytes.subarray(0, spki.length).equals(spki)) {
        throw missing(`${name} is no Ed25519 key: it must be an ECC_NIST_EDWARDS25519 key that signs`);
      }
      const publicKey = bytes.subarray(spki.length).toString("hex");
      return { id: KeyId, signer: { publicKey, sign: (message) => sign(client, KeyId, message) } };
    } catch (thrown) {
      const error = awsErrorName(thrown) ?? "";
      if (error === "NotFoundException") return undefined;
      if (!unusable.includes(error)) throw thrown;
      throw missing(`${name} cannot be used (${error}): enable that key, or cancel its deletion`);
    }
  });
}

const unusable = ["DisabledException", "KMSInvalidStateException"];

async function sign(client: KMSClient, KeyId: string, bytes: Uint8Array): Promise<string> {
  if (bytes.length > messageMax) {
    throw new KeyturnError(
      "request-refused",
      `what is to be signed has ${bytes.length} bytes, and KMS takes ${messageMax}: accept fewer chains at a time`,
    );
  }
  return ask("signing", async () => {
    const { Signature = new Uint8Array() } = await client.send(
      new SignCommand({
        KeyId,
        Message: bytes,
        MessageType: "RAW",
        SigningAlgorithm: "ED25519_SHA_512",
      }),
    );
    return Buffer.from(Signature).toString("base64");
  });
}

/** Of a key that may not be used any more, too. */
async function idOf(client: KMSClient, name: string): Promise<string | undefined> {
  return ask(`looking for ${name}`, async () => {
    try {
      return (await client.send(new DescribeKeyCommand({ KeyId: name }))).KeyMetadata?.Arn;
    } catch (thrown) {
      if (awsErrorName(thrown) === "NotFoundException") return undefined;
      throw thrown;
    }
  });
}

async function point(client: KMSClient, AliasName: string, TargetKeyId: string): Promise<void> {
  await ask(`pointing ${AliasName} to another key`, async () => {
    try {
      await client.send(new UpdateAliasCommand({ AliasName, TargetKeyId }));
    } catch (thrown) {
      if (awsErrorName(thrown) !== "NotFoundException") throw thrown;
      await client.send(new CreateAliasCommand({ AliasName, TargetKeyId }));
    }
  });
}

/** From now on it signs nothing. */
async function drop(client: KMSClient, KeyId: string): Promise<void> {
  await ask("dropping a key", async () => {
    await client
      .send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: deletionDays }))
      .catch(unless("KMSInvalidStateException"));
  });
}

function unless(expected: string): (thrown: unknown) => undefined {
  return (thrown) => {
    if (awsErrorName(thrown) !== expected) throw thrown;
    return undefined;
  };
}

/** A key that may not be used is no key to sign with; another one may be. */
function gone(thrown: unknown): undefined {
  if (thrown instanceof KeyturnError && thrown.code === "key-missing") return undefined;
  throw thrown;
}

function missing(message: string): KeyturnError {
  return new KeyturnError("key-missing", message);
}

async function ask<Result>(doing: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (thrown) {
    throw translateAws(thrown, part, doing);
  }
}
