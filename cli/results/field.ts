import * as z from "zod/mini";

/** Fields of results: each has its description, which the published schema and the commands' page show. */

export function text(description: string) {
  return z.string().check(z.describe(description));
}

/** Milliseconds, or how many. */
export function count(description: string) {
  return z.number().check(z.describe(description));
}

export function flag(description: string) {
  return z.boolean().check(z.describe(description));
}

export function texts(description: string) {
  return z.array(z.string()).check(z.describe(description));
}

export const ref = text("the secret's reference");
export const version = text("the version's id, whole");
