import type * as z from "zod";
import { describeIssue } from "./issue.ts";
import type { Problem } from "./problem.ts";
import { type FileContent, FileSchema } from "./schema.ts";
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
  const described = issues.flatMap((issue) => describeIssue(issue, FileSchema, whole));
  return {
    content: wellFormed(whole, issues),
    problems: described.map(({ field, message, part }) => file.problem(field, message, part)),
  };
}

/** What is left when all that is faulty is taken out; and, where a mapping is of no use without it, that mapping. */
function wellFormed(whole: unknown, issues: readonly z.core.$ZodIssue[]): FileContent {
  const rest = issues.flatMap(faultyPaths).reduce(without, whole);
  const parsed = FileSchema.safeParse(rest ?? {});
  return parsed.success ? parsed.data : wellFormed(rest, parsed.error.issues);
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

function isMapping(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
