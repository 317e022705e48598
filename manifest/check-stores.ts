import type { Section } from "./gather.ts";
import type { Problem } from "./problem.ts";
import type { StoreContent } from "./schema.ts";

/** What an installation on AWS can be called: its resources have names of limited length. */
const installationName = /^[a-z](-?[a-z0-9]){0,19}$/;

/** A store is of one kind. */
export function checkStores(stores: Section<StoreContent>): readonly Problem[] {
  return stores.entries.flatMap(({ name, content, refused, problem }) => {
    const { local, aws, quota: _, ...others } = content;
    const later = Object.keys(others);
    if (later.length > 0) {
      return later.map((cloud) => problem([cloud], "this version has `local` and `aws` stores only"));
    }
    if (local !== undefined && aws !== undefined) {
      return [problem(["aws"], "stands beside `local`: a store is of one kind")];
    }
    if (aws !== undefined && aws.installation === undefined && !refused.has("aws")) {
      const named = installationName.test(name);
      const why =
        "the store's name cannot name what is deployed: give it another, of at most 20 lower-case letters, digits and dashes, as `installation`";
      return named ? [] : [problem(["aws"], why)];
    }
    if (local !== undefined || aws !== undefined || refused.size > 0) return [];
    return [problem([], "says nothing; write `local: { path: .keyturn }`")];
  });
}
