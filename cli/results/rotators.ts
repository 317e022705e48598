import * as z from "zod/mini";
import { flag, text, texts } from "./field.ts";

const Field = z.object({
  name: text("as it is written; nested ones with a dot"),
  type: text("what it takes"),
  required: flag("it has to be given"),
  description: z.optional(text("what it is for")),
  default: z.optional(z.unknown()),
  secret: z.optional(flag("its value is secret")),
});
export type FieldDescription = z.infer<typeof Field>;

const RotatorDescription = z.object({
  type: text("its name in the manifest"),
  overlap: z
    .enum(["both-live", "cutover"])
    .check(
      z.describe("whether the old and the new credential work side by side in grace, or change at once"),
    ),
  needs: z.object({
    network: texts("what it has to reach"),
    aws: z
      .array(
        z.object({
          actions: texts("what is done there"),
          resource: text("an ARN; what stands in braces is a field of the config, or where it runs"),
        }),
      )
      .check(z.describe("what it must be allowed on AWS")),
    admin: flag("it needs an administering login"),
  }),
  takesOver: flag("it can take over a credential that exists already"),
  config: z.array(Field).check(z.describe("what `config:` takes in the manifest")),
  credential: z.array(Field).check(z.describe("what agents read")),
  admin: z.array(Field).check(z.describe("what the administering login's secret has to have")),
  example: text("an entry for the manifest's `secrets:`"),
});
export type RotatorDescription = z.infer<typeof RotatorDescription>;

export const RotatorsResult = z.union([RotatorDescription, z.object({ types: z.array(RotatorDescription) })]);
