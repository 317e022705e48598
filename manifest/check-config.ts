import * as z from "zod";
import type { Rotator } from "../core/rotator.ts";
import { heldType } from "./check-secrets.ts";
import type { Entry } from "./gather.ts";
import { describeIssue } from "./issue.ts";
import type { Problem } from "./problem.ts";
import type { SecretContent } from "./schema.ts";

/** What is to be known of a credential type to check a secret of it. */
export type TypeFacts = Pick<Rotator, "config" | "needsAdmin" | "overlap"> & Partial<Pick<Rotator, "needs">>;

/** What only the credential types can tell: that each config is as its type wants it. Types that are not given are passed over. */
export function checkConfigs(
  secrets: readonly Entry<SecretContent>[],
  types: ReadonlyMap<string, TypeFacts>,
): readonly Problem[] {
  return secrets.flatMap((entry) => {
    const { type, config = {}, admin } = entry.content;
    const facts = type === undefined || type === heldType ? undefined : types.get(type);
    if (facts === undefined) return [];
    const problems: Problem[] = [];
    if (facts.needsAdmin && admin === undefined && !entry.refused.has("admin")) {
      const message = `is missing: ${type} changes its target by an administering login; write \`admin: { secret: … }\``;
      problems.push(entry.problem(["admin"], message));
    }
    const parsed = entry.refused.has("config") ? undefined : z.safeParse(facts.config, config);
    const described = (parsed?.error?.issues ?? []).flatMap((issue) =>
      describeIssue(issue, facts.config, config),
    );
    return [
      ...problems,
      ...described.map(({ field, message, part }) => entry.problem(["config", ...field], message, part)),
    ];
  });
}
