import * as z from "zod/mini";
import { ref, text, texts } from "./field.ts";

export const InitResult = z.object({
  ref,
  admin: text("the reference of the administering login"),
  manifest: text("the file, absolute"),
  store: text("the store's folder, absolute"),
  sql: text("to be run once as a superuser"),
});

export const EnrolResult = z.object({
  principal: text("the host's name"),
  fleets: texts("the fleets whose secrets it may read"),
  out: z.optional(text("the file that has the token")),
  token: z.optional(
    text(
      "the token itself, where no file was named: the one thing that a command ever prints that is secret",
    ),
  ),
});
