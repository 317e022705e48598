import * as z from "zod/mini";
import { count, flag, ref, text, version } from "./field.ts";
import { Unreadable } from "./status.ts";

export const OwedCredential = z.object({
  ref,
  store: text("the secret's store in the manifest"),
  version,
  reason: z
    .enum(["retired", "leaked", "superseded", "foreign"])
    .check(z.describe("why it should be refused")),
  sinceMs: count("how long it has been owed"),
  attempts: count("how often it was tried"),
  nextTryInMs: z.optional(count("until it is tried again; 0: now; absent: nobody tries")),
  lastFailure: z.optional(text("what went wrong the last time")),
  overdue: flag("as many tries as the policy allows have failed, or nobody tries: a person has to look"),
  managed: flag("the manifest still has the secret; without it nobody pays"),
  paused: flag("the secret is paused, and is not tried by itself"),
});
export type OwedCredential = z.infer<typeof OwedCredential>;

export const DebtsResult = z.object({
  debts: z.array(OwedCredential),
  overdue: count("how many of them are overdue"),
  unreadable: z.array(Unreadable).check(z.describe("secrets of which nothing can be said, and why")),
});
export type DebtsResult = z.infer<typeof DebtsResult>;
