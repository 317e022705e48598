import * as z from "zod";
import type { Rotator } from "../core/rotator.ts";
import { heldFields, heldType } from "../manifest/check-secrets.ts";
import { FileSchema, SecretSchema } from "../manifest/schema.ts";

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** Draft 7, which every editor reads; what is written, not what it is read as. */
const form = { target: "draft-7", io: "input", unrepresentable: "any" } as const;

/**
 * The manifest as JSON Schema, for editors. What only shows when files are put together, such as a name that leads nowhere, is for
 * `keyturn lint`.
 */
export function manifestSchema(types: readonly Rotator[]): Readonly<Record<string, unknown>> {
  const { $schema, ...schema } = z.toJSONSchema(FileSchema, {
    ...form,
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema === SecretSchema)
        jsonSchema.allOf = [
          typeNames(types),
          ofSecrets(heldType, { propertyNames: { enum: [...heldFields] } }),
          ...types.map(ofType),
        ];
    },
  });
  for (const section of Object.values(schema.properties ?? {})) {
    // A section all of whose entries are commented out is null.
    Object.assign(section, { type: [Object(section).type, "null"] });
  }
  return {
    $schema,
    title: "keyturn.yaml",
    description: "What Keyturn rotates, where it keeps it, and who uses it.",
    ...schema,
  };
}

function typeNames(types: readonly Rotator[]): JsonSchema {
  return { properties: { type: { enum: [...types.map(({ type }) => type), heldType] } } };
}

/** JSON Schema's own word; written out as a property it would make an object look like a promise. */
const consequence = "then";

function ofSecrets(type: string, rule: JsonSchema): JsonSchema {
  return { if: { properties: { type: { const: type } }, required: ["type"] }, [consequence]: rule };
}

/** What a type asks of its secrets. */
function ofType({ type, config, needsAdmin }: Rotator): JsonSchema {
  const { $schema: _, ...schema } = z.toJSONSchema(config, form);
  const required = [
    ...((schema.required ?? []).length === 0 ? [] : ["config"]),
    ...(needsAdmin ? ["admin"] : []),
  ];
  return ofSecrets(type, {
    properties: { config: schema },
    ...(required.length === 0 ? {} : { required }),
  });
}
