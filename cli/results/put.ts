import * as z from "zod/mini";
import { flag, ref, text, texts, version } from "./field.ts";

export const PutResult = z.object({
  ref,
  store: text("its store's name in the manifest"),
  version,
  fields: texts("the names of the fields that were stored; never a value"),
  replaced: flag("it had a value before"),
});
export type PutResult = z.infer<typeof PutResult>;
