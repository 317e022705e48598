import type { Section } from "./gather.ts";
import type { Problem } from "./problem.ts";
import type { StoreContent } from "./schema.ts";

/** A store is of one kind, and this version has one kind. */
export function checkStores(stores: Section<StoreContent>): readonly Problem[] {
  return stores.entries.flatMap(({ content, refused, problem }) => {
    const { local, quota: _, ...others } = content;
    const clouds = Object.keys(others);
    if (clouds.length > 0) {
      return clouds.map((cloud) => problem([cloud], "this version has `local` stores only"));
    }
    if (local !== undefined || refused.size > 0) return [];
    return [problem([], "says nothing; write `local: { path: .keyturn }`")];
  });
}
