import { isDeepStrictEqual } from "node:util";
import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";
import { KeyturnError } from "./errors.ts";
import { withMembers } from "./json-text.ts";
import type { Schema } from "./rotator.ts";
import { Secret } from "./secret.ts";

/** The fields that are secret, by name. */
export function secretsIn(fields: object): Record<string, Secret> {
  return Object.fromEntries(Object.entries(fields).filter(([, field]) => field instanceof Secret));
}

/** A stored value as plain data; `what` names it in the error, which quotes nothing of it. */
export function parseJson(value: Secret, what: string): unknown {
  try {
    return JSON.parse(value.reveal());
  } catch {
    // The parser's own message quotes the text, which is the secret.
    throw new KeyturnError("credential-invalid", `${what} is not JSON`);
  }
}

/** By itself zod/mini says "Invalid input" of everything, unless something else of the process has taught all of it a language. */
const inWords = en().localeError;

/** What a schema makes of data that came from outside; the error names the fields. */
export function parse<T>(
  schema: Schema<T>,
  input: unknown,
  code: "config-invalid" | "credential-invalid",
  what: string,
): T {
  const result = z.safeParse(schema, input, { error: inWords });
  if (result.success) return result.data;
  const problems = result.error.issues.map(
    (issue) => `${issue.path.join(".")}${issue.path.length > 0 ? ": " : ""}${issue.message}`,
  );
  throw new KeyturnError(code, `${what} is not usable: ${problems.join("; ")}`);
}

/** The text of the current value with what is new in it: whatever the type does not know stays as it was written. */
export function carryOver(current: Secret | undefined, fields: Readonly<Record<string, unknown>>): string {
  if (current === undefined) return JSON.stringify(fields);
  const kept = new Map(Object.entries(Object(parseJson(current, "the stored value"))));
  const changed = Object.entries(fields).filter(
    ([name, field]) => field !== undefined && !isDeepStrictEqual(kept.get(name), field),
  );
  return withMembers(current.reveal(), Object.fromEntries(changed));
}

/** The fields as JSON has them. */
export function revealFields(credential: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(credential).map(([name, field]) => [
      name,
      field instanceof Secret ? field.reveal() : field,
    ]),
  );
}

/** The secret fields, and those of these names, which are none. */
export function withFields<Credential extends object>(
  credential: Credential,
  names: readonly (keyof Credential & string)[],
): Record<string, Secret> {
  const named = names.map((name) => [name, new Secret(String(credential[name]))]);
  return { ...secretsIn(credential), ...Object.fromEntries(named) };
}
