import { createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";
import { existsSync, renameSync } from "node:fs";
import { dirname } from "node:path";
import { type AuditSigner, keyIdOf } from "../core/audit-root.ts";
import { KeyturnError } from "../core/errors.ts";
import type { AuditKeys } from "../core/ports.ts";
import type { LocalAuditRoots } from "./audit-roots.ts";
import { syncFolder } from "./files.ts";
import { createKey, type Environment, keyPlace, readKeyFile } from "./keys.ts";

/** The signing key's file: beside the store's key where that was given as a file, else in the user's configuration. Never in the data. */
export function auditKeyFile(
  storeKey: string | undefined,
  installation: string,
  environment: Environment,
): string {
  if (storeKey !== undefined) return storeKey.replace(/(\.key)?$/, ".audit.key");
  const { file } = keyPlace(undefined, `${installation}.audit`, { ...environment, KEYTURN_KEY: undefined });
  return file ?? "";
}

/**
 * The key is 32 bytes of chance (RFC 8032's private key) in a file that only its owner may read; the one that is to follow waits in
 * `<file>.next`, and takes its place once the list of roots has gone on to it.
 */
export function localAuditKeys(
  file: string,
  roots: Pick<LocalAuditRoots, "exclusively">,
  comment: string,
): AuditKeys {
  const nextFile = `${file}.next`;
  const made = (path: string): AuditSigner => {
    createKey(path, comment);
    const signer = signerIn(path);
    if (signer === undefined) throw new KeyturnError("conflict", `${path} is gone again`);
    return signer;
  };
  const settle = (publicKey: string): Promise<void> =>
    roots.exclusively(() => {
      if (signerIn(nextFile)?.publicKey !== publicKey) return;
      renameSync(nextFile, file);
      syncFolder(dirname(file));
    });
  return {
    signer: async (publicKey) => {
      const signer = signerIn(file) ?? (publicKey === undefined ? made(file) : undefined);
      if (signer !== undefined && signer.publicKey === (publicKey ?? signer.publicKey)) return signer;
      // Whoever went on to it has died before it could take its place.
      await settle(publicKey ?? "");
      const settled = signerIn(file);
      if (settled?.publicKey === publicKey && settled !== undefined) return settled;
      throw new KeyturnError(
        "key-missing",
        `the audit's roots are signed by the key ${keyIdOf(publicKey ?? "")}, and ${file} ${
          existsSync(file) ? "has another one" : "is not there"
        }: restore it from your copy`,
      );
    },
    next: async () => made(nextFile),
    settle,
    publicKeys: async () =>
      [file, nextFile].flatMap((path) => {
        const signer = signerIn(path);
        return signer === undefined ? [] : [signer.publicKey];
      }),
  };
}

function signerIn(path: string): AuditSigner | undefined {
  const [seed] = readKeyFile(path) ?? [];
  return seed && signerOf(seed);
}

/** The beginning of an Ed25519 private key in PKCS #8, behind which its 32 bytes stand. */
const pkcs8 = Buffer.from("302e020100300506032b657004220420", "hex");

function signerOf(seed: Uint8Array): AuditSigner {
  const key = createPrivateKey({ key: Buffer.concat([pkcs8, seed]), format: "der", type: "pkcs8" });
  return {
    publicKey: publicKeyOf(key),
    sign: async (bytes) => sign(null, bytes, key).toString("base64"),
  };
}

function publicKeyOf(key: KeyObject): string {
  return createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32).toString("hex");
}
