import { createHash } from "node:crypto";
import * as z from "zod/mini";
import { asKeyturnError } from "./errors.ts";

/**
 * One line of a secret's audit. `hash` is the SHA-256, in hex, of the JSON array of every other field (UTF-8, null for none) in the order of this
 * schema; `previousHash` is the hash of the entry before ("" for the first), so no entry can be changed, taken out or put in between.
 */
export const AuditEntry = z.object({
  ref: z.string(),
  /** 1 for the first. */
  sequence: z.number(),
  at: z.number(),
  /** Who asked, or which worker did it. */
  actor: z.string(),
  /** For example `rotate.requested`, `set.done`, `retire.failed`. */
  action: z.string(),
  epoch: z.number(),
  version: z.optional(z.string()),
  /** Words for a person; never a value. */
  detail: z.string(),
  previousHash: z.string(),
  hash: z.string(),
});
export type AuditEntry = z.infer<typeof AuditEntry>;

export type UnsealedEntry = Omit<AuditEntry, "sequence" | "previousHash" | "hash">;

/** Puts an entry at the end of a chain. */
export function seal(
  entry: UnsealedEntry,
  end: { readonly sequence: number; readonly hash: string },
): AuditEntry {
  const linked = { ...entry, sequence: end.sequence + 1, previousHash: end.hash };
  return { ...linked, hash: hashOf(linked) };
}

/** Puts entries that were never written behind another end than the one they were sealed for. */
export function sealAgain(
  entries: readonly AuditEntry[],
  end: { readonly sequence: number; readonly hash: string },
): AuditEntry[] {
  const sealed: AuditEntry[] = [];
  for (const { ref, at, actor, action, epoch, version, detail } of entries) {
    sealed.push(seal({ ref, at, actor, action, epoch, version, detail }, sealed.at(-1) ?? end));
  }
  return sealed;
}

export type ChainFault =
  | { readonly kind: "changed"; readonly sequence: number }
  | { readonly kind: "gap"; readonly sequence: number }
  | { readonly kind: "unlinked"; readonly sequence: number }
  | { readonly kind: "foreign"; readonly sequence: number }
  | { readonly kind: "unreadable"; readonly sequence: number }
  | { readonly kind: "cut-off"; readonly sequence: number };

/**
 * Reads a chain to its end and gives the first fault, or undefined. `end` is what the journal knows of the chain's end
 * (without what is still in the outbox): a chain that is shorter was cut off.
 */
export async function verifyChain(
  ref: string,
  entries: AsyncIterable<AuditEntry>,
  end: { readonly sequence: number; readonly hash: string } | undefined,
): Promise<{ readonly length: number; readonly fault: ChainFault | undefined }> {
  let last = { sequence: 0, hash: "" };
  let hashAtEnd = end?.sequence === 0 ? "" : undefined;
  try {
    for await (const entry of entries) {
      const fault = faultOf(entry, ref, last);
      if (fault !== undefined) return { length: last.sequence, fault };
      last = { sequence: entry.sequence, hash: entry.hash };
      if (entry.sequence === end?.sequence) hashAtEnd = entry.hash;
    }
  } catch (thrown) {
    // What cannot even be read is a finding, not an outage; whatever else was thrown is one.
    if (asKeyturnError(thrown).code !== "data-broken") throw thrown;
    return { length: last.sequence, fault: { kind: "unreadable", sequence: last.sequence + 1 } };
  }
  if (end !== undefined && hashAtEnd !== end.hash) {
    const kind = last.sequence < end.sequence ? "cut-off" : "changed";
    return { length: last.sequence, fault: { kind, sequence: Math.min(last.sequence, end.sequence) } };
  }
  return { length: last.sequence, fault: undefined };
}

function faultOf(
  entry: AuditEntry,
  ref: string,
  last: { readonly sequence: number; readonly hash: string },
): ChainFault | undefined {
  const { sequence } = entry;
  if (entry.ref !== ref) return { kind: "foreign", sequence };
  if (sequence !== last.sequence + 1) return { kind: "gap", sequence };
  if (entry.previousHash !== last.hash) return { kind: "unlinked", sequence };
  if (hashOf(entry) !== entry.hash) return { kind: "changed", sequence };
  return undefined;
}

function hashOf(entry: Omit<AuditEntry, "hash">): string {
  const { ref, sequence, at, actor, action, epoch, version, detail, previousHash } = entry;
  const text = JSON.stringify([
    ref,
    sequence,
    at,
    actor,
    action,
    epoch,
    version ?? null,
    detail,
    previousHash,
  ]);
  return createHash("sha256").update(text).digest("hex");
}
