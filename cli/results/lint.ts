import * as z from "zod/mini";
import { count, flag, text } from "./field.ts";

export const LintResult = z.object({
  passed: flag("nothing was found whose severity is error"),
  errors: count("how many findings are errors"),
  warnings: count("how many are warnings"),
  findings: z.array(
    z.object({
      rule: text("the rule's id, such as `policy/max-age`"),
      severity: z.enum(["error", "warning"]),
      secret: z.optional(text("the secret that it is about; absent: none, or many")),
      file: text("as seen from the working directory where it lies beneath it"),
      line: count("from 1"),
      column: count("from 1"),
      message: text("what was found; never a value"),
      remedy: text("what to do about it"),
    }),
  ),
});
export type LintResult = z.infer<typeof LintResult>;
