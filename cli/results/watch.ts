import * as z from "zod/mini";
import { count, ref, text } from "./field.ts";

/** One line of `watch --json`: one entry of a secret's audit, as it comes. */
export const WatchResult = z.object({
  ref,
  at: text("RFC 3339, UTC"),
  sequence: count("its place in the secret's audit"),
  action: text("for example `set.done` or `retire.failed`"),
  actor: text("who asked, or which worker did it"),
  epoch: count("the secret's epoch"),
  version: z.optional(text("the version that it is about")),
  detail: text("words for a person; never a value"),
  phase: text("where the secret is now"),
});
export type WatchResult = z.infer<typeof WatchResult>;
