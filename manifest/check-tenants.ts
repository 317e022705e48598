import type { Entry, Section } from "./gather.ts";
import type { FieldPath, Problem } from "./problem.ts";
import type { SecretContent } from "./schema.ts";
import { inspectConfig } from "./values.ts";

/**
 * What belongs to a tenant serves that tenant alone: neither its administering login nor anything else of it is used by a secret of
 * another tenant, or of none. What belongs to none may serve all.
 */
export function checkTenants(secrets: Section<SecretContent>): readonly Problem[] {
  const tenants = new Map(secrets.entries.map(({ name, content }) => [name, content.tenant]));
  return secrets.entries.flatMap((entry) => {
    const { admin, config, tenant } = entry.content;
    const { references } = inspectConfig(config, ["config"]);
    const used = [
      ...(admin === undefined ? [] : [{ field: ["admin", "secret"], ref: admin.secret }]),
      ...references,
    ];
    // Where the tenant itself was refused, it is not known whose the secret is.
    return entry.refused.has("tenant")
      ? []
      : used.flatMap(({ field, ref }) => crossing(entry, field, ref, tenants.get(ref), tenant));
  });
}

function crossing(
  entry: Entry<SecretContent>,
  field: FieldPath,
  ref: string,
  owner: string | undefined,
  tenant: string | undefined,
): readonly Problem[] {
  if (owner === undefined || owner === tenant) return [];
  const mine = tenant === undefined ? "this secret has no tenant" : `this secret is ${tenant}'s`;
  return [entry.problem(field, `${ref} is ${owner}'s, and ${mine}: tenants share nothing`)];
}
