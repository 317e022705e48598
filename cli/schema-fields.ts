import * as z from "zod/mini";
import type { Schema } from "../core/rotator.ts";
import { Secret } from "../core/secret.ts";
import type { FieldDescription } from "./results/rotators.ts";

/** What of JSON Schema our own schemas come to. */
const JsonNode = z.looseObject({
  type: z.optional(z.string()),
  enum: z.optional(z.array(z.unknown())),
  const: z.optional(z.unknown()),
  description: z.optional(z.string()),
  default: z.optional(z.unknown()),
  properties: z.optional(z.record(z.string(), z.unknown())),
  additionalProperties: z.optional(z.unknown()),
  required: z.optional(z.array(z.string())),
  items: z.optional(z.unknown()),
  anyOf: z.optional(z.array(z.unknown())),
});
type JsonNode = z.infer<typeof JsonNode>;

/** The fields of a type's schema, as a person reads them. Secret are those that come out as a `Secret`. */
export function describeFields(schema: Schema<unknown>): FieldDescription[] {
  const secret = secretNames(schema);
  return fieldsOf(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" })).map((field) =>
    secret.has(field.name) ? { ...field, secret: true } : field,
  );
}

/** The fields of a JSON schema: inner ones with a dot, those of a list's entries behind `[]`; of alternatives, those of each. */
export function fieldsOf(json: unknown): readonly FieldDescription[] {
  const fields = within(nodeOf(json), "");
  return [...new Map(fields.map((field) => [field.name, field])).values()];
}

function within(node: JsonNode, prefix: string): readonly FieldDescription[] {
  const { properties = {}, required = [], anyOf = [], items } = node;
  const inner = Object.entries(properties).flatMap(([name, json]): readonly FieldDescription[] => {
    const field = nodeOf(json);
    const path = `${prefix}${name}`;
    const below = within(field, field.type === "array" ? path : `${path}.`);
    const isOnlyGroup = field.type === "object" && below.length > 0 && field.description === undefined;
    return isOnlyGroup ? below : [described(field, path, required.includes(name)), ...below];
  });
  const alternatives = anyOf.flatMap((one) => within(nodeOf(one), prefix));
  const entries = items === undefined ? [] : within(nodeOf(items), `${prefix}[].`);
  return [...inner, ...alternatives, ...entries];
}

function described(field: JsonNode, name: string, isRequired: boolean): FieldDescription {
  return {
    name,
    type: typeOf(field),
    required: isRequired && field.default === undefined,
    ...(field.description === undefined ? {} : { description: field.description }),
    ...(field.default === undefined ? {} : { default: field.default }),
  };
}

function typeOf(field: JsonNode): string {
  if (field.enum !== undefined) return field.enum.map(String).join(" | ");
  if (field.const !== undefined) return String(field.const);
  if (field.anyOf !== undefined)
    return [...new Set(field.anyOf.map((one) => typeOf(nodeOf(one))))].join(" | ");
  if (field.type === "array") return `list of ${typeOf(nodeOf(field.items ?? {}))}`;
  return field.type ?? "anything";
}

function nodeOf(json: unknown): JsonNode {
  return z.parse(JsonNode, json);
}

/** Whether a text comes out as a `Secret` is what makes a field secret, so that is what is asked. */
function secretNames(schema: Schema<unknown>): ReadonlySet<string> {
  if (!(schema instanceof z.ZodMiniObject)) return new Set();
  const names = Object.entries(schema.shape).flatMap(([name, field]) => (isSecret(field) ? [name] : []));
  return new Set(names);
}

function isSecret(field: unknown): boolean {
  const schema = field instanceof z.ZodMiniOptional ? field.def.innerType : field;
  if (!(schema instanceof z.ZodMiniType)) return false;
  const parsed = z.safeParse(schema, "a text");
  return parsed.success && parsed.data instanceof Secret;
}
