import * as z from "zod/mini";
import { flag, ref, text, version } from "./field.ts";

const Imported = z.object({
  ref,
  answer: z
    .enum(["imported", "known"])
    .check(z.describe("`known`: it was imported before, and nothing was done")),
  version,
  login: text("the login that is under Keyturn now"),
  findable: flag("should the password leak, it is found by its fingerprint"),
});
export type Imported = z.infer<typeof Imported>;

const ImportPlan = z.object({
  ref,
  ready: flag("every check is passed; nothing has changed in any case"),
  checks: z.array(
    z.object({
      check: text("what was looked at"),
      ok: flag("it is as an import needs it"),
      message: text("what was found; never a value"),
    }),
  ),
  steps: z.array(
    z.object({
      step: text("a command, or what goes on by itself"),
      does: text("who gets what"),
      back: text("how to go back from there"),
    }),
  ),
});
export type ImportPlan = z.infer<typeof ImportPlan>;

/** With `--plan`, what would happen; without it, what has. */
export const ImportResult = z.union([Imported, ImportPlan]);
