import { missing } from "./check-secrets.ts";
import { formatDuration } from "./duration.ts";
import type { Entry, Section } from "./gather.ts";
import type { PolicyEntry } from "./manifest.ts";
import { contradictions, policiesFor, timesFor } from "./policy.ts";
import type { Problem } from "./problem.ts";
import type { SecretContent } from "./schema.ts";
import type { PolicyContent } from "./schema-policy.ts";

/** What a policy names is there, and what it asks for can be met. */
export function checkPolicies(
  policies: readonly Entry<PolicyContent>[],
  names: { readonly notify: ReadonlySet<string>; readonly people: ReadonlySet<string> },
): readonly Problem[] {
  return policies.flatMap((entry) => {
    const { notify = [], tenant, graceLimits, secondPerson = [] } = entry.content;
    const problems = notify.flatMap((channel, index) =>
      missing(entry, ["notify", index], "channel", channel, names.notify),
    );
    if (tenant !== undefined && tenant.oneOf === undefined && tenant.part === undefined) {
      problems.push(entry.problem(["tenant"], "asks for nothing; write `oneOf: [acme]` or `part: 1`"));
    }
    const { atLeast = 0, atMost = Number.POSITIVE_INFINITY } = graceLimits ?? {};
    if (atMost < atLeast) {
      const message = `no grace window lasts at least ${formatDuration(atLeast)} and at most ${formatDuration(atMost)}`;
      problems.push(entry.problem(["graceLimits"], message));
    }
    if (secondPerson.length > 0 && names.people.size === 0) {
      problems.push(entry.problem(["secondPerson"], "nobody could consent: `people` names no one"));
    }
    return problems;
  });
}

/** Of a manifest whose fields are all well-formed: that the times of a secret and of the policies agree. */
export function checkTimes(
  secrets: Section<SecretContent>,
  policies: readonly PolicyEntry[],
): readonly Problem[] {
  return secrets.entries.flatMap((entry) =>
    contradictions(timesFor(entry.content, policiesFor(entry.name, policies))).map(({ field, message }) =>
      entry.problem(field, message),
    ),
  );
}
