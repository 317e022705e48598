import * as z from "zod/mini";

const Json = z.looseObject({});

/** A result's schema as others read it: draft 2020-12, and open, for fields may be added. */
export function jsonSchema(schema: z.ZodMiniType): Readonly<Record<string, unknown>> {
  return z.parse(Json, z.toJSONSchema(schema, { io: "input", target: "draft-2020-12" }));
}
