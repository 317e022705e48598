import { createHash, createPublicKey, verify } from "node:crypto";
import * as z from "zod/mini";
import type { ChainEnd } from "./merkle.ts";

/** Lower-case hex of that many bytes. */
function hex(bytes: number) {
  return z.string().check(z.regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`)));
}

const whole = z.number().check(z.int(), z.nonnegative());

/** What every line of the list of roots has. docs/audit.md has the format byte by byte. */
const line = {
  /** 1 for the first line of the list. */
  number: whole,
  at: z.number().check(z.int()),
  installation: z.string(),
  /** The hash of the line before; "" for the first. */
  previousHash: z.string(),
  /** Whose signature it is: the first eight bytes of the SHA-256 of the public key. */
  keyId: hex(8),
  /** The SHA-256 of the bytes that are signed. */
  hash: hex(32),
  /** Ed25519, in base64. */
  signature: z.string(),
};

/** From here on this key signs. Signed by the key before it; the first by itself. */
const KeyLine = z.object({ kind: z.literal("key"), ...line, publicKey: hex(32) });

/** A root without what has changed since the root before: enough to be kept elsewhere and to be checked by itself. */
export const Anchor = z.object({
  kind: z.literal("root"),
  ...line,
  /** How many chains there are. */
  chains: whole,
  /** The root of the Merkle tree over the ends of all of them. */
  root: hex(32),
  /** Chains that did not extend what earlier roots say of them, and that a person has accepted as they are. */
  accepted: z.array(z.string()),
});
export type Anchor = z.infer<typeof Anchor>;

/** A signed root: the whole tree by its hash, and the ends that changed since the root before. */
const RootLine = z.extend(Anchor, {
  changed: z.array(z.object({ ref: z.string(), sequence: whole, hash: z.string() })),
});
export type RootLine = z.infer<typeof RootLine>;

export const RootsLine = z.discriminatedUnion("kind", [KeyLine, RootLine]);
export type RootsLine = z.infer<typeof RootsLine>;

/** Signs for the audit. The private key stays with it. */
export interface AuditSigner {
  /** Ed25519, 32 bytes in hex. */
  readonly publicKey: string;
  /** The signature of the bytes, in base64. */
  sign(bytes: Uint8Array): Promise<string>;
}

/** The end of the list, behind which the next line comes. */
export interface ListEnd {
  readonly number: number;
  readonly hash: string;
}

interface Written {
  readonly at: number;
  readonly installation: string;
}

/** Puts a key at the end of the list, signed by the one before it. */
export async function introduceKey(
  publicKey: string,
  signer: AuditSigner,
  end: ListEnd,
  { at, installation }: Written,
): Promise<RootsLine> {
  const [number, previousHash] = [end.number + 1, end.hash];
  const unsigned = { kind: "key" as const, number, at, installation, publicKey, previousHash };
  return { ...unsigned, ...(await signed({ ...unsigned, keyId: keyIdOf(signer.publicKey) }, signer)) };
}

/** Puts a root at the end of the list. */
export async function signRoot(
  tree: Pick<RootLine, "chains" | "root" | "accepted" | "changed">,
  signer: AuditSigner,
  end: ListEnd,
  { at, installation }: Written,
): Promise<RootLine> {
  const [number, previousHash] = [end.number + 1, end.hash];
  const unsigned = { kind: "root" as const, number, at, installation, ...tree, previousHash };
  return { ...unsigned, ...(await signed({ ...unsigned, keyId: keyIdOf(signer.publicKey) }, signer)) };
}

/** The root without the list of changes. */
export function anchorOf({ changed: _, ...anchor }: RootLine): Anchor {
  return anchor;
}

export function keyIdOf(publicKey: string): string {
  return createHash("sha256").update(Buffer.from(publicKey, "hex")).digest("hex").slice(0, 16);
}

export function hashOfLine(unsigned: Unsigned): string {
  return createHash("sha256").update(signedBytes(unsigned)).digest("hex");
}

export function isSignedBy(publicKey: string, statement: Unsigned & { readonly signature: string }): boolean {
  const x = Buffer.from(publicKey, "hex").toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  return verify(null, signedBytes(statement), key, Buffer.from(statement.signature, "base64"));
}

/** Whether a chain has grown from one end to the other. */
export function isAhead(end: ChainEnd, before: ChainEnd | undefined): boolean {
  return end.sequence > (before?.sequence ?? 0);
}

type Signed = "hash" | "signature";
type Unsigned = Omit<z.infer<typeof KeyLine>, Signed> | Omit<Anchor, Signed>;

async function signed(unsigned: Unsigned, signer: AuditSigner): Promise<Pick<Anchor, "keyId" | Signed>> {
  const { keyId } = unsigned;
  return { keyId, hash: hashOfLine(unsigned), signature: await signer.sign(signedBytes(unsigned)) };
}

/** The changes are not among them: the root of the tree says what they come to. */
function signedBytes(unsigned: Unsigned): Buffer {
  const { number, at, installation, previousHash, keyId } = unsigned;
  const own =
    unsigned.kind === "key"
      ? ["keyturn-audit-key-1", number, at, installation, unsigned.publicKey]
      : ["keyturn-audit-root-1", number, at, installation, unsigned.chains, unsigned.root, unsigned.accepted];
  return Buffer.from(JSON.stringify([...own, previousHash, keyId]));
}
