import { AuditEntry, seal } from "../core/audit.ts";
import { KeyturnError } from "../core/errors.ts";
import { appendToLines, endOfLines, type LineChain, readLines } from "./line-chain.ts";

const entries: LineChain<AuditEntry> = {
  name: "an entry of the audit",
  read: (json) => AuditEntry.safeParse(json).data,
  link: ({ sequence, hash, previousHash }) => ({ place: sequence, hash, previousHash }),
  isWhole: (entry) =>
    seal(entry, { sequence: entry.sequence - 1, hash: entry.previousHash }).hash === entry.hash,
};

/** Appends to the chain in the file, made if need be. The caller sees to it that nobody else does so at the same time. */
export function appendToChain(path: string, entry: AuditEntry): void {
  if (appendToLines(path, entry, entries)) return;
  const { place } = endOfLines(path, entries);
  throw new KeyturnError("conflict", `the audit of ${entry.ref} is at ${place}`);
}

/** Every complete line, as it is: verifying is the reader's. */
export function readChain(path: string): AsyncIterable<AuditEntry> {
  return readLines(path, entries);
}

/** The last entry's sequence and hash, unverified. */
export function endOfChain(path: string): { readonly sequence: number; readonly hash: string } {
  const { place, hash } = endOfLines(path, entries);
  return { sequence: place, hash };
}
