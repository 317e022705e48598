import * as z from "zod/mini";
import { count, ref, text, texts } from "./field.ts";

/** What `revoke --direct` prints. */
export const DirectResult = z.object({
  ref,
  cut: z.array(
    z.object({
      login: text("the login that its target lets in no more"),
      sessionsEnded: count("sessions that were ended"),
      survives: texts("what still works, in words; empty: nothing does"),
    }),
  ),
  ms: count("from the command's start to the proof"),
});
export type DirectResult = z.infer<typeof DirectResult>;
