import * as z from "zod/mini";

/** What a call asks for: an action, on something, with what conditions may be about. */
export interface Asked {
  readonly action: string;
  readonly resource: string;
  /** By condition key, for example `s3:prefix`. */
  readonly context?: Readonly<Record<string, string>>;
}

const words = z.pipe(
  z.union([z.string(), z.array(z.string())]),
  z.transform((said) => [said].flat()),
);

/** Whatever else a statement may say (that it denies, what it is not about) is not understood, and is an error. */
const Statement = z.strictObject({
  Sid: z.optional(z.string()),
  Effect: z.literal("Allow"),
  Action: words,
  Resource: words,
  Condition: z.optional(z.record(z.string(), z.record(z.string(), words))),
});
type Statement = z.infer<typeof Statement>;

const Policy = z.object({ Statement: z.union([Statement, z.array(Statement)]) });

/** The policies of one role. */
export class StrictRights {
  readonly #statements: readonly Statement[];

  /** `documents`: identity policies, as they are deployed. */
  constructor(documents: readonly unknown[]) {
    this.#statements = documents.flatMap((document) => [Policy.parse(document).Statement].flat());
  }

  /**
   * As AWS documents it: what no statement allows is denied, actions know no case, `*` is any text and `?` any character, all conditions
   * of a statement hold, one of their values is enough, and a key that a call does not have fits none.
   * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
   */
  allow({ action, resource, context = {} }: Asked): boolean {
    return this.#statements.some(
      ({ Action, Resource, Condition = {} }) =>
        Action.some((pattern) => isLike(action.toLowerCase(), pattern.toLowerCase())) &&
        Resource.some((pattern) => isLike(resource, pattern)) &&
        Object.entries(Condition).every(([operator, keys]) =>
          Object.entries(keys).every(([key, values]) => holds(operator, values, context[key])),
        ),
    );
  }
}

function holds(operator: string, values: readonly string[], found: string | undefined): boolean {
  switch (operator) {
    case "StringEquals":
      return found !== undefined && values.includes(found);
    case "StringLike":
    case "ForAnyValue:StringLike":
      return found !== undefined && values.some((pattern) => isLike(found, pattern));
    default:
      throw new Error(`the model of IAM does not know ${operator}`);
  }
}

/** A policy has few, and every call is held to all of them. */
const known = new Map<string, RegExp>();

function isLike(text: string, pattern: string): boolean {
  const before = known.get(pattern);
  if (before !== undefined) return before.test(text);
  const escaped = pattern.replaceAll(/[\\^$.|+()[\]{}]/g, String.raw`\$&`);
  const made = new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`, "s");
  known.set(pattern, made);
  return made.test(text);
}
