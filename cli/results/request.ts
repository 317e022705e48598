import * as z from "zod/mini";
import { ErrorResult } from "./failure.ts";
import { count, flag, ref, text } from "./field.ts";

const answer = z
  .enum(["began", "joined", "waiting", "nothing", "refused"])
  .check(z.describe("what became of the request: `refused` and `nothing` have changed nothing"));

/** What `rotate`, `cancel`, `rollback` and `resume` say of one secret. */
export const RotationResult = z.object({
  ref,
  answer,
  why: z.optional(text("the reason, where nothing was begun or it waits")),
  rotated: z.optional(flag("a new version is out")),
  phase: z.optional(text("where the secret is now")),
  version: z.optional(text("the version that is current now; absent: none")),
  ms: z.optional(count("how long it took")),
  debts: z.optional(count("credentials that are not yet proven refused")),
  error: z.optional(ErrorResult),
});
export type RotationResult = z.infer<typeof RotationResult>;

/** What a request came to that only changes the record. */
export const Told = z.object({
  ref,
  answer: z.optional(answer),
  why: z.optional(text("the reason, in words")),
  error: z.optional(ErrorResult),
});
export type Told = z.infer<typeof Told>;

/** One secret by its name, or all of them by `--all`. */
export const ToldResult = z.union([
  Told,
  z.object({
    secrets: z
      .array(Told)
      .check(z.describe("each secret of the manifest; those that failed have an `error`")),
    counts: z.record(z.string(), z.number()).check(z.describe("how many came to which answer, or `failed`")),
  }),
]);

/** `resume` goes on with one rotation, or ends the pause of all. */
export const ResumeResult = z.union([RotationResult, ToldResult]);

export const RetireResult = z.object({
  ref,
  answer,
  why: text("the reason, in words"),
  phase: text("where the secret is now"),
  debts: count("credentials that are not yet proven refused"),
  ms: z.optional(count("how long it took")),
  error: z.optional(ErrorResult),
});
export type RetireResult = z.infer<typeof RetireResult>;
