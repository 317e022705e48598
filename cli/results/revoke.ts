import * as z from "zod/mini";
import { ErrorResult } from "./failure.ts";
import { count, flag, ref, text, texts, version } from "./field.ts";

/** What a revocation touches, told before anything changes. */
export const AffectedSecret = z.object({
  ref,
  store: text("the secret's store in the manifest"),
  version,
  standing: z
    .enum(["live", "under way", "cut"])
    .check(z.describe("`live`: to be cut off; `under way`: somebody has begun it; `cut`: refused already")),
  type: text("its credential type"),
  tenant: z.optional(text("whose it is")),
  fleets: texts("who may read it"),
  agents: count("live agents that report on it"),
  holders: texts("agents that hold this version for a long task, and lose it"),
  administers: texts("secrets whose administering login it is"),
});
export type AffectedSecret = z.infer<typeof AffectedSecret>;

export const RevokedVersion = z.object({
  ref,
  version,
  refused: flag("its target is proven to refuse it"),
  identifiedMs: count("from the start, or the end of standard input, until it was known which version it is"),
  refusedMs: z.optional(count("from the alert to the proven refusal")),
  sessionsEnded: count("sessions that were open with it, and were ended"),
  survives: texts("what works on nevertheless, and for how long"),
  successor: z.optional(text("the version that agents read now; absent: it is not out yet")),
  phase: text("where the secret is"),
  reason: z.optional(text("why it is halted")),
});
export type RevokedVersion = z.infer<typeof RevokedVersion>;

export const RevokeResult = z.object({
  found: count("versions that were meant"),
  revoked: z.array(RevokedVersion),
  containedMs: z.optional(
    count("from the alert until the last of them was refused; absent while one is not"),
  ),
  agent: z.optional(
    z.object({
      principal: text("the host"),
      tokensRevoked: count("tokens that let it read successors, and do no more"),
      fleets: texts("what it was enrolled for"),
    }),
  ),
  searchedAll: z.optional(flag("with --leaked: every part of the text was tried")),
  errors: z.optional(z.array(ErrorResult)),
});
export type RevokeResult = z.infer<typeof RevokeResult>;

/** Signed by the second person, as a JSON text with its fields in this order. */
export const RevokeRequest = z.strictObject({
  kind: z.literal("keyturn-revoke-request"),
  secrets: z
    .array(z.strictObject({ ref, version }))
    .check(z.describe("what is to be cut off, and nothing else")),
  agent: z.optional(text("the host whose tokens end with it")),
  cutFirst: flag("before the successors exist"),
  by: text("who asks, a name of the manifest's people"),
  at: text("when, RFC 3339"),
  until: text("when the request ends, RFC 3339"),
  nonce: text("a number used once, in hex"),
});
export type RevokeRequest = z.infer<typeof RevokeRequest>;

/** What `approve` prints and `revoke --approval` reads. */
export const ApproveResult = z.strictObject({
  kind: z.literal("keyturn-approval"),
  request: RevokeRequest,
  by: text("who agrees, a name of the manifest's people"),
  signature: text("Ed25519 over the request, in base64"),
});
export type ApproveResult = z.infer<typeof ApproveResult>;

/** What `approve --new-key` prints. */
export const NewKeyResult = z.object({ key: text("the public key, as the manifest's people take it") });
export type NewKeyResult = z.infer<typeof NewKeyResult>;
