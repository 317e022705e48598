import { createHash, createHmac, pbkdf2 } from "node:crypto";
import { promisify } from "node:util";
import type { Random } from "../../core/ports.ts";
import type { Secret } from "../../core/secret.ts";

const iterations = 4_096;
const saltBytes = 16;
const passwordLengthMax = 4_096;

/**
 * The text by which PostgreSQL checks a password (RFC 5803). It is made here, so that the password itself never reaches the
 * server's log, its statistics, or anyone who reads along there.
 */
export async function scramVerifier(password: Secret, random: Random): Promise<string> {
  const salt = random.bytes(saltBytes);
  const salted = await promisify(pbkdf2)(password.reveal(), salt, iterations, 32, "sha256");
  const keyFor = (label: string) => createHmac("sha256", salted).update(label).digest();
  const storedKey = createHash("sha256").update(keyFor("Client Key")).digest("base64");
  const serverKey = keyFor("Server Key").toString("base64");
  return `SCRAM-SHA-256$${iterations}:${Buffer.from(salt).toString("base64")}$${storedKey}:${serverKey}`;
}

/**
 * Why clients would not all log in with a password, or undefined. SCRAM clients prepare a password by SASLprep, not at all, or by
 * something in between; one that reads the same either way is safe. Generated ones are: this is for those that people chose.
 */
export function passwordProblem(password: Secret): string | undefined {
  const text = password.reveal();
  if (text === "") return "is empty";
  if (text.length > passwordLengthMax) return `has more than ${passwordLengthMax} characters`;
  if (/^md5[0-9a-f]{32}$/.test(text)) return "looks like an md5 hash, which servers take for one";
  if (/^SCRAM-SHA-256\$/.test(text)) return "looks like a SCRAM verifier, which servers take for one";
  if (/\p{C}/u.test(text)) return "has control, invisible or unassigned characters";
  if (/(?! )\p{Z}/u.test(text)) return "has a space other than the plain one";
  if (droppedOrForbidden.test(text)) return "has characters that SASLprep drops or forbids";
  if (text.normalize("NFKC") !== text) return "has characters that SASLprep would replace";
  return undefined;
}

/** What RFC 3454 maps to nothing (B.1) or prohibits (C.6, C.7) and Unicode does not call a control, format or unassigned character. */
const droppedOrForbidden = /\u034F|[\u180B-\u180D]|[\uFE00-\uFE0F]|[\u1806\u2FF0-\u2FFB\uFFFC\uFFFD]/u;
