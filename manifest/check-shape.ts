import type * as z from "zod";
import { didYouMean } from "./nearest.ts";
import type { Problem } from "./problem.ts";
import { type FileContent, FileSchema, knownFields } from "./schema.ts";
import { namesASecret } from "./values.ts";
import type { YamlFile } from "./yaml-file.ts";

/** A file's content with what is wrong in it. Fields that have a problem are left out of the content. */
export interface Shape {
  readonly content: FileContent;
  readonly problems: readonly Problem[];
}

/**
 * Reads a file by its schema. What has no problem is kept, so that what can only be seen across entries is reported
 * together with what can be seen in one.
 */
export function checkShape(file: YamlFile): Shape {
  if (file.problems.length > 0) return { content: {}, problems: [] };
  if (!isMapping(file.value)) {
    return { content: {}, problems: [file.problem([], "must be a mapping with `stores` and `secrets`")] };
  }
  const whole = withoutEmptySections(file.value);
  const parsed = FileSchema.safeParse(whole);
  if (parsed.success) return { content: parsed.data, problems: [] };
  const { issues } = parsed.error;
  const rest = FileSchema.safeParse(issues.flatMap(faultyPaths).reduce(without, whole));
  return { content: rest.data ?? {}, problems: issues.flatMap((issue) => describe(issue, whole, file)) };
}

/** A section all of whose entries are commented out reads as null. */
function withoutEmptySections(value: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, section]) => section !== null));
}

function faultyPaths(issue: z.core.$ZodIssue): readonly (readonly PropertyKey[])[] {
  return issue.code === "unrecognized_keys" ? issue.keys.map((key) => [...issue.path, key]) : [issue.path];
}

/** Takes a field out; what is missing takes its mapping with it, and an item its list, for the others would change their places. */
function without(value: unknown, [step, ...rest]: readonly PropertyKey[]): unknown {
  if (step === undefined || !isMapping(value)) return undefined;
  // Where an earlier problem took the mapping away, there is nothing left to do.
  if (!Object.hasOwn(value, step)) return rest.length === 0 ? undefined : value;
  const { [step]: field, ...others }: { readonly [step: PropertyKey]: unknown } = { ...value };
  const left = without(field, rest);
  return left === undefined ? others : { ...others, [step]: left };
}

function describe(issue: z.core.$ZodIssue, whole: unknown, file: YamlFile): readonly Problem[] {
  const field = issue.path.map((step) => (typeof step === "number" ? step : String(step)));
  if (issue.code === "unrecognized_keys") {
    const known = knownFields(field);
    return issue.keys.map((key) => file.problem([...field, key], unknownField(key, known), "name"));
  }
  if (issue.code === "invalid_key") {
    const reason = issue.issues[0]?.message ?? "is not a name";
    return [file.problem(field, reason, "name")];
  }
  return [file.problem(field, inOurWords(issue, valueAt(whole, field)))];
}

function unknownField(key: string, known: readonly string[]): string {
  if (namesASecret(key)) return "is not allowed: the manifest holds references, never values";
  return `unknown field${didYouMean(key, known) || `; the fields here are ${known.join(", ")}`}`;
}

function inOurWords(issue: z.core.$ZodIssue, value: unknown): string {
  if (issue.code === "invalid_type") {
    if (value === undefined) return "is missing";
    return `must be ${kindNames[issue.expected] ?? issue.expected}, not ${kindOf(value)}`;
  }
  if (issue.code === "invalid_value") {
    return `must be ${issue.values.map((allowed) => `\`${String(allowed)}\``).join(" or ")}`;
  }
  return issue.message;
}

const kindNames: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
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

function isMapping(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
