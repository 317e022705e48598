import * as z from "zod/mini";
import { count, flag, ref, text, texts } from "./field.ts";

const keyId = text("the first eight bytes, in hex, of the SHA-256 of the public key");
const publicKey = text("Ed25519, 32 bytes in hex");
const store = text("the store's name in the manifest");

/** A root as it is kept elsewhere: what `audit root` prints. Its fields are those of `Anchor`. */
export const AuditRootResult = z.object({
  kind: z.literal("root"),
  number: count("its line in the list of roots, 1 for the first"),
  at: count("when it was signed: milliseconds since 1970 UTC"),
  installation: text("the id of the installation"),
  previousHash: text("the hash of the line before"),
  keyId,
  hash: text("SHA-256, in hex, of the bytes that are signed"),
  signature: text("Ed25519, in base64; docs/audit.md says of which bytes"),
  chains: count("how many chains there are"),
  root: text("the root of the Merkle tree over the ends of all chains, in hex"),
  accepted: texts("chains that were accepted as they are"),
});

export const AuditSignResult = z.object({
  stores: z.array(
    z.object({
      store,
      isNew: flag("false: nothing had changed since the root before"),
      root: z.optional(AuditRootResult),
      parted: texts("chains that are not what was signed; the root still says what it said of them"),
      accepted: texts("chains that were not what was signed, and now count as they are"),
    }),
  ),
});
export type AuditSignResult = z.infer<typeof AuditSignResult>;

export const AuditKeysResult = z.object({
  keys: z.array(
    z.object({
      store,
      keyId,
      publicKey,
      number: count("the line of the list of roots that introduces it"),
      at: count("since when it signs: milliseconds since 1970 UTC"),
      signs: flag("whether it is the one that signs now"),
    }),
  ),
});
export type AuditKeysResult = z.infer<typeof AuditKeysResult>;

export const AuditRotateKeyResult = z.object({
  store,
  keyId,
  publicKey,
  file: text("where the private key is"),
});
export type AuditRotateKeyResult = z.infer<typeof AuditRotateKeyResult>;

/** What `audit verify` says of a store's list of roots. */
export const RootsResult = z.object({
  store,
  lines: count("how many are unbroken; keys are among them"),
  signedAt: z.optional(count("of the newest root: milliseconds since 1970 UTC")),
  chains: z.optional(count("how many chains the newest root covers")),
  root: z.optional(text("the newest root, in hex")),
  keyId: z.optional(keyId),
  accepted: z.array(
    z.object({ ref, root: count("the root that says so"), at: count("when that was signed") }),
  ),
  fault: z.optional(
    z.object({
      kind: z.enum([
        "gap",
        "unlinked",
        "foreign",
        "changed",
        "unsigned",
        "unreadable",
        "missing",
        "another-key",
        "older",
        "diverged",
      ]),
      number: count("the line that is not as it was written, or the last one"),
    }),
  ),
});
