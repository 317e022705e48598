import type * as z from "zod";
import { knownFields } from "./known-fields.ts";
import { didYouMean } from "./nearest.ts";
import type { FieldPath } from "./problem.ts";
import { namesASecret } from "./values.ts";

/** What a schema found wrong in what was written, in words that help whoever wrote it, and never with the value. */
export interface DescribedIssue {
  readonly field: FieldPath;
  readonly message: string;
  /** Whether it is the field's value that is wrong or its name. */
  readonly part: "value" | "name";
}

export function describeIssue(
  issue: z.core.$ZodIssue,
  schema: z.core.$ZodType,
  whole: unknown,
): readonly DescribedIssue[] {
  const field = issue.path.map((step) => (typeof step === "number" ? step : String(step)));
  if (issue.code === "unrecognized_keys") {
    const known = knownFields(schema, field);
    return issue.keys.map((key) => ({
      field: [...field, key],
      message: unknownField(key, known),
      part: "name",
    }));
  }
  if (issue.code === "invalid_key") {
    return [{ field, message: issue.issues[0]?.message ?? "is not a name", part: "name" }];
  }
  return [{ field, message: inOurWords(issue, valueAt(whole, field)), part: "value" }];
}

function unknownField(key: string, known: readonly string[]): string {
  if (namesASecret(key)) return "is not allowed: the manifest holds references, never values";
  return `unknown field${didYouMean(key, known) || `; the fields here are ${known.join(", ")}`}`;
}

function inOurWords(issue: z.core.$ZodIssue, value: unknown): string {
  if (issue.code === "invalid_type") {
    if (value === undefined) return "is missing";
    if (!isOfTheLibrary(issue.message)) return issue.message;
    if (issue.expected === "int" && typeof value === "number") return "must be a whole number";
    return `must be ${kindNames[issue.expected] ?? issue.expected}, not ${kindOf(value)}`;
  }
  if (issue.code === "invalid_value") {
    return `must be ${issue.values.map((allowed) => `\`${String(allowed)}\``).join(" or ")}`;
  }
  return isOfTheLibrary(issue.message) ? limitOf(issue) : issue.message;
}

/** Whether the schema has no words of its own for it. */
function isOfTheLibrary(message: string): boolean {
  return /^(Invalid|Too small|Too big)\b/.test(message);
}

function limitOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "too_small") return `must be at least ${issue.minimum}`;
  if (issue.code === "too_big") return `must be at most ${issue.maximum}`;
  return "is not usable";
}

const kindNames: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a mapping",
  record: "a mapping",
};

function kindOf(value: unknown): string {
  if (value === null) return "empty";
  if (Array.isArray(value)) return "a list";
  return kindNames[typeof value] ?? `a ${typeof value}`;
}

function valueAt(whole: unknown, field: readonly PropertyKey[]): unknown {
  return field.reduce<unknown>((value, step) => Object(value)[step], whole);
}
