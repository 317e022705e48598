import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import { inParallel } from "../core/parallel.ts";
import type { OpenManifest, OpenSecret, OpenStore } from "./open.ts";

/** What came of one secret: never both, never neither. */
export type Each<Result> =
  | { readonly ref: string; readonly result: Result }
  | { readonly ref: string; readonly error: KeyturnError };

/** How many at once: enough to hide what each waits for, few enough for a store's quota. */
const most = 16;

/**
 * Does the same with each of these secrets, in the manifest's order. What is wrong with one is told of that one, and a store that cannot be
 * opened is asked once, and not once for each of its secrets.
 */
export async function eachSecret<Result>(
  { manifest, store }: OpenManifest,
  refs: readonly string[],
  work: (secret: OpenSecret) => Promise<Result>,
): Promise<readonly Each<Result>[]> {
  const opening = new Map<string, Promise<OpenStore>>();
  const open = (name: string): Promise<OpenStore> => {
    const known = opening.get(name) ?? store(name);
    opening.set(name, known);
    return known;
  };
  const settled = await inParallel(refs, most, async (ref) => {
    const managed = manifest.secrets.get(ref);
    if (managed === undefined) throw new KeyturnError("input-invalid", `the manifest has no secret ${ref}`);
    const opened = await open(managed.store);
    return work({ ...opened, storeName: managed.store, managed });
  });
  return settled.map((one, index) => {
    const ref = refs[index] ?? "";
    return one.status === "fulfilled"
      ? { ref, result: one.value }
      : { ref, error: asKeyturnError(one.reason) };
  });
}

export function failureOf({ code, message, remedy }: KeyturnError) {
  return { code, message, remedy };
}
