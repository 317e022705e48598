import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign, verify } from "node:crypto";
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import type { Manifest, Person } from "../manifest/manifest.ts";
import { ApproveResult, RevokeRequest } from "./results/revoke.ts";

/** A request that nobody has agreed to by then ends. */
const validMs = 15 * 60_000;

/** Clocks of two machines may differ by so much. */
const skewMs = 60_000;

export type Approval = ApproveResult;

/** What the first person asks the second to agree to. It holds references and versions, and no value. */
export function writeRequest(
  what: Pick<RevokeRequest, "secrets" | "agent" | "cutFirst" | "by">,
  now: number,
): RevokeRequest {
  return RevokeRequest.parse({
    kind: "keyturn-revoke-request",
    ...what,
    at: new Date(now).toISOString(),
    until: new Date(now + validMs).toISOString(),
    nonce: randomBytes(16).toString("hex"),
  });
}

/** Throws for what is no request, or is one no more. */
export function readRequest(text: string, now: number): RevokeRequest {
  const request = read(RevokeRequest, text, "no request of `keyturn revoke`");
  checkTime(request, now);
  return request;
}

/** The second person's word: made with a private key that never leaves its file. */
export function approve(request: RevokeRequest, by: Person, key: KeyObject): Approval {
  if (by.name === request.by) {
    throw new KeyturnError("request-refused", `${by.name} asks, and so cannot be the one who agrees`);
  }
  const signature = sign(null, signedBytes(request), key).toString("base64");
  return { kind: "keyturn-approval", request, by: by.name, signature };
}

/**
 * Throws unless somebody of the manifest's people, who is not the one that asks, has signed it in time. It needs no list of used ones:
 * an approval names versions, a version can be revoked only once, and going on with what has begun needs none.
 */
export function readApproval(
  text: string,
  { people }: Pick<Manifest, "people">,
  asks: string,
  now: number,
): Approval {
  const approval = read(ApproveResult, text, "no approval of `keyturn approve`");
  const { request, by, signature } = approval;
  checkTime(request, now);
  const person = people.get(by);
  if (person === undefined) throw refused(`the manifest has no person ${by}`);
  if (by === asks || request.by !== asks) {
    throw refused(
      `${request.by} has asked and ${by} agreed, and now ${asks} acts: who acts must be who has asked, and another must agree`,
    );
  }
  const isSigned = verify(null, signedBytes(request), publicKey(person), Buffer.from(signature, "base64"));
  if (!isSigned) throw refused(`the signature is not ${by}'s over this request`);
  return approval;
}

/** Whose public key in the manifest belongs to this private key. */
export function personOf({ people }: Pick<Manifest, "people">, key: KeyObject): Person {
  const mine = createPublicKey(key);
  for (const person of people.values()) if (publicKey(person).equals(mine)) return person;
  throw refused("the key is nobody's of the manifest's people");
}

/** An Ed25519 private key in PKCS8 PEM; refused where others can read the file. */
export function readPrivateKey(path: string): KeyObject {
  const pem = readPrivate(path);
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch {
    // The parser's message may quote the text.
  }
  throw new KeyturnError("input-invalid", `${path} is no Ed25519 private key without a passphrase, in PEM`);
}

function readPrivate(path: string): Buffer {
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    if ((fstatSync(file).mode & 0o077) === 0) return readFileSync(file);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new KeyturnError("input-invalid", `${path} cannot be read: ${why}`, { cause });
  } finally {
    if (file !== undefined) closeSync(file);
  }
  throw new KeyturnError("input-invalid", `${path} can be read by others: chmod 600 ${path}`);
}

function publicKey({ name, key }: Person): KeyObject {
  try {
    const found = createPublicKey({ key: Buffer.from(key, "base64"), format: "der", type: "spki" });
    if (found.asymmetricKeyType === "ed25519") return found;
  } catch {
    // Said below.
  }
  throw new KeyturnError(
    "manifest-invalid",
    `people.${name}.key is no Ed25519 public key: SPKI, DER, in base64`,
  );
}

function checkTime({ at, until }: RevokeRequest, now: number): void {
  const [from, to] = [Date.parse(at), Date.parse(until)];
  const isTimely = from - skewMs <= now && now <= to && to - from <= validMs;
  if (!isTimely)
    throw refused(
      `the request was for ${at} to ${until}, and it is ${new Date(now).toISOString()}: ask again`,
    );
}

/** Written anew from the fields that are known, so that what is signed is what is shown. */
function signedBytes(request: RevokeRequest): Buffer {
  return Buffer.from(JSON.stringify(RevokeRequest.parse(request)));
}

function read<T>(schema: z.ZodMiniType<T>, text: string, otherwise: string): T {
  const parsed = z.safeParse(schema, jsonOf(text));
  if (parsed.success) return parsed.data;
  throw new KeyturnError("input-invalid", `this is ${otherwise}`);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refused(message: string): KeyturnError {
  return new KeyturnError("request-refused", message);
}
