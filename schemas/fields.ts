import * as z from "zod/mini";

/** A field of the manifest, as its reference page has it. */
export interface DescribedField {
  /** `<name>` stands for a name of one's own, `[]` for each item of a list. */
  readonly path: string;
  /** What may stand there, in a word or two. */
  readonly kind: string;
  readonly description: string;
}

const Node = z.looseObject({
  type: z.optional(z.union([z.string(), z.array(z.string())])),
  description: z.optional(z.string()),
  default: z.optional(z.unknown()),
  enum: z.optional(z.array(z.string())),
  pattern: z.optional(z.string()),
  anyOf: z.optional(z.array(z.unknown())),
  properties: z.optional(z.record(z.string(), z.unknown())),
  additionalProperties: z.optional(z.unknown()),
  items: z.optional(z.unknown()),
  not: z.optional(z.unknown()),
  required: z.optional(z.array(z.string())),
});
type Node = z.infer<typeof Node>;

/** Every field that a JSON Schema of a manifest has, in its order, what stands inside of it after it. */
export function fieldsOf(schema: unknown, path = ""): readonly DescribedField[] {
  return inside(z.parse(Node, schema), path);
}

function inside(node: Node, path: string): readonly DescribedField[] {
  const { additionalProperties, items, properties = {}, required = [] } = node;
  if (typeof additionalProperties === "object" && additionalProperties !== null) {
    return inside(z.parse(Node, additionalProperties), `${path}.<name>`);
  }
  if (items !== undefined) return inside(z.parse(Node, items), `${path}[]`);
  return Object.entries(properties).flatMap(([name, raw]) => {
    const field = z.parse(Node, raw);
    const here = path === "" ? name : `${path}.${name}`;
    const kind = `${kindOf(field)}${required.includes(name) ? ", required" : ""}`;
    return [{ path: here, kind, description: describe(field) }, ...inside(field, here)];
  });
}

function describe({ description = "", default: fallback }: Node): string {
  const isPlain = typeof fallback !== "object" && fallback !== undefined;
  return isPlain ? `${description} Default: ${String(fallback)}.` : description;
}

function kindOf(field: Node): string {
  if (field.not !== undefined) return "nothing";
  if (field.enum !== undefined) return field.enum.map((word) => `\`${word}\``).join(" or ");
  if (field.pattern?.endsWith("(ms|s|m|h|d)$") === true) return "duration";
  if (field.type === undefined && field.anyOf !== undefined)
    return field.anyOf.map((one) => kindOf(z.parse(Node, one))).join(" or ");
  const type = [field.type].flat().find((each) => each !== "null");
  if (type === "array") return `list of ${kindOf(z.parse(Node, field.items))}`;
  return kinds[type ?? ""] ?? type ?? "anything";
}

const kinds: Readonly<Record<string, string>> = {
  object: "mapping",
  string: "text",
  integer: "whole number",
  number: "number",
  boolean: "true or false",
};
