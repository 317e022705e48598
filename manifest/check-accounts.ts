import type { Rotator } from "../core/rotator.ts";
import type { Entry, Section } from "./gather.ts";
import type { Problem } from "./problem.ts";
import type { SecretContent, StoreContent } from "./schema.ts";

/** A secret may be in another account than its store's installation. What cannot be done for such a one is refused here, before anything is deployed. */
export function checkAccounts(
  secrets: Section<SecretContent>,
  stores: Section<StoreContent>,
  types: ReadonlyMap<string, Partial<Pick<Rotator, "needs">>>,
): readonly Problem[] {
  const contents = new Map(stores.entries.map(({ name, content }) => [name, content]));
  return secrets.entries.flatMap((entry) => {
    const { account, store = "" } = entry.content;
    const content = contents.get(store);
    if (account === undefined || content === undefined) return [];
    if (content.aws === undefined) {
      // Where the store's own entry was refused, its kind is not known.
      return content.local === undefined
        ? []
        : [entry.problem(["account"], "is for a secret of a store on AWS: leave it out")];
    }
    return account === content.aws.account ? [] : checkElsewhere(entry, types);
  });
}

function checkElsewhere(
  entry: Entry<SecretContent>,
  types: ReadonlyMap<string, Partial<Pick<Rotator, "needs">>>,
): readonly Problem[] {
  const { fleets = [], admin, type = "" } = entry.content;
  const problems: Problem[] = [];
  if (fleets.length > 0) {
    const why =
      "agents read in the account of the store, and this secret is in another one: leave out `fleets`, and let its readers read it by themselves";
    problems.push(entry.problem(["fleets"], why));
  }
  if ((types.get(type)?.needs?.aws ?? []).length > 0 && admin === undefined) {
    const why = `is missing: without one, ${type} signs by a role of the store's account, and this secret is in another one; write \`admin: { secret: … }\``;
    problems.push(entry.problem(["admin"], why));
  }
  return problems;
}
