import * as z from "zod";

/** The fields that may stand in the mapping at that path of what a schema describes; empty where any may. */
export function knownFields(schema: z.core.$ZodType, path: readonly PropertyKey[]): readonly string[] {
  let found: readonly z.core.$ZodType[] = alternatives(schema);
  for (const step of path) found = found.flatMap((each) => inside(each, step)).flatMap(alternatives);
  return [
    ...new Set(
      found.flatMap((each) => (each instanceof z.core.$ZodObject ? Object.keys(shapeOf(each)) : [])),
    ),
  ];
}

function inside(schema: z.core.$ZodType, step: PropertyKey): readonly z.core.$ZodType[] {
  if (schema instanceof z.core.$ZodRecord) return [schema._zod.def.valueType];
  if (schema instanceof z.core.$ZodArray) return [schema._zod.def.element];
  const field = schema instanceof z.core.$ZodObject ? shapeOf(schema)[String(step)] : undefined;
  return field === undefined ? [] : [field];
}

function shapeOf(schema: z.core.$ZodObject): Readonly<Record<string, z.core.$ZodType>> {
  return schema._zod.def.shape;
}

/** What is under the wrappings that change nothing about the fields. */
function alternatives(schema: z.core.$ZodType): readonly z.core.$ZodType[] {
  if (schema instanceof z.core.$ZodUnion) return schema._zod.def.options.flatMap(alternatives);
  if (schema instanceof z.core.$ZodPipe) return alternatives(schema._zod.def.in);
  const { innerType }: { readonly innerType?: unknown } = Object(schema._zod.def);
  return innerType instanceof z.core.$ZodType ? alternatives(innerType) : [schema];
}
