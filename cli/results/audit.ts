import * as z from "zod/mini";
import { RootsResult } from "./audit-roots.ts";
import { count, flag, ref, text } from "./field.ts";

const Fault = z.object({
  kind: z.enum(["changed", "gap", "unlinked", "foreign", "unreadable", "cut-off", "replaced", "unknown"]),
  sequence: count("the entry that is not as it was written"),
  root: z.optional(count("the signed root that knows another entry, or more of them")),
});

export const AuditVerifyResult = z.object({
  verified: flag("every chain is unbroken, and so is every list of roots"),
  chains: z.array(z.object({ ref, entries: count("how many are unbroken"), fault: z.optional(Fault) })),
  roots: z.array(RootsResult),
});
export type AuditVerifyResult = z.infer<typeof AuditVerifyResult>;

/** One line of `audit export`. */
export const AuditExportResult = z.object({
  ref,
  sequence: count("1 for the first"),
  at: count("milliseconds since 1970 UTC"),
  actor: text("who asked, or which worker did it"),
  action: text("for example `rotate.began` or `debt.paid`"),
  epoch: count("the secret's epoch"),
  version: z.optional(text("the version that it is about")),
  detail: text("words for a person; never a value"),
  previousHash: text("the hash of the entry before; empty for the first"),
  hash: text(
    "SHA-256, in hex, of the JSON array of the fields above, in this order, `null` for what is absent",
  ),
});
