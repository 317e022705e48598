import * as z from "zod/mini";
import { text } from "./field.ts";

/** One of our errors, as a part of results. */
export const ErrorResult = z.object({
  code: text("stable; the table is in the commands' page"),
  message: text("what happened; never a value"),
  remedy: z.optional(text("what to do about it")),
});

/** What every command prints instead of its result when it cannot give one. */
export const FailureResult = z.object({ error: ErrorResult });
