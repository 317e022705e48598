import { about, type Breach, eachSecret, type LintRule, ruled } from "./lint-rule.ts";
import type { LintedSecret } from "./lint-subject.ts";
import type { PolicyEntry, Requirement } from "./manifest.ts";
import type { FieldPath } from "./problem.ts";

/** The rules that a manifest's own policies turn on. */
export const policyRules: readonly LintRule[] = [
  {
    id: "policy/max-age",
    severity: "policy",
    finds:
      "A value may become older than a policy's `maxAge`: there is no schedule, or it rotates too seldom.",
    remedy: "give it a `schedule` that rotates at least so often; a window that is waited for counts, too",
    breaches: eachSecret((secret) => {
      const rule = ruled(secret, "maxAgeMs");
      if (rule === undefined) return [];
      const { policy, says } = rule;
      const allowed = `no value may become older than ${about(says)}`;
      if (secret.interval === undefined) {
        return [breach(secret, policy, [], `has no schedule, and ${allowed}`)];
      }
      const { longestMs } = secret.interval;
      if (longestMs <= says) return [];
      return [
        breach(secret, policy, ["schedule"], `may go ${about(longestMs)} without a rotation, and ${allowed}`),
      ];
    }),
  },
  {
    id: "policy/grace",
    severity: "policy",
    finds: "A grace window is shorter or longer than a policy's `graceLimits` allow.",
    remedy: "give it a `grace` within the limits",
    breaches: eachSecret((secret) => {
      const rule = ruled(secret, "graceLimits");
      if (rule === undefined) return [];
      const { graceAtLeastMs, graceAtMostMs } = secret.policy;
      const { atLeastMs = 0, atMostMs = Number.POSITIVE_INFINITY } = rule.says;
      const short = `grace.atLeast is ${about(graceAtLeastMs)}, and must be ${about(atLeastMs)} or more`;
      const long = `grace.atMost is ${about(graceAtMostMs)}, and must be ${about(atMostMs)} or less`;
      return [
        ...(graceAtLeastMs < atLeastMs ? [breach(secret, rule.policy, ["grace", "atLeast"], short)] : []),
        ...(graceAtMostMs > atMostMs ? [breach(secret, rule.policy, ["grace", "atMost"], long)] : []),
      ];
    }),
  },
  {
    id: "policy/tenant",
    severity: "policy",
    finds: "A secret has no tenant or another one than a policy's `tenant` asks for.",
    remedy: "give it the `tenant` that it belongs to, or a reference of that tenant",
    breaches: eachSecret((secret) => {
      const rule = ruled(secret, "tenant");
      if (rule === undefined) return [];
      const { oneOf, part } = rule.says;
      const mine = secret.tenant === undefined ? "has no tenant" : `is of the tenant ${secret.tenant}`;
      const named = part === undefined ? undefined : secret.ref.split("/")[part - 1];
      const found: Breach[] = [];
      if (oneOf !== undefined && (secret.tenant === undefined || !oneOf.includes(secret.tenant))) {
        found.push(breach(secret, rule.policy, ["tenant"], `${mine}, and must be of ${oneOf.join(" or ")}`));
      }
      if (part !== undefined && secret.tenant !== named) {
        const wanted = named === undefined ? `has no part ${part} that names one` : `names ${named}`;
        found.push(breach(secret, rule.policy, ["tenant"], `${mine}, and its reference ${wanted}`));
      }
      return found;
    }),
  },
  requirement("both-live", {
    remedy: "choose a type that keeps old and new alive together, such as postgres-alternating",
    field: ["type"],
    lacks: (secret) =>
      secret.overlap === "cutover"
        ? `is of the type ${secret.type}, whose old value dies when the new one comes`
        : undefined,
  }),
  requirement("schedule", {
    remedy: "write `schedule: { every: 30d }`, for example",
    field: [],
    lacks: (secret) => (secret.interval === undefined ? "has no schedule" : undefined),
  }),
  requirement("window", {
    remedy: "write when rotations may begin, such as `window: Sat 02:00-06:00 UTC`, under `schedule`",
    field: ["schedule"],
    lacks: (secret) =>
      secret.content.schedule?.window === undefined ? "has no maintenance window" : undefined,
  }),
  requirement("fleets", {
    remedy: "name the fleets that read it: `fleets: [invoice-agents]`",
    field: ["fleets"],
    lacks: (secret) => (secret.fleets.length === 0 ? "names no fleet" : undefined),
  }),
  requirement("tenant", {
    remedy: "say whose it is: `tenant: acme`",
    field: ["tenant"],
    lacks: (secret) => (secret.tenant === undefined ? "has no tenant" : undefined),
  }),
  requirement("notify", {
    remedy: "name the channels that are told of it: `notify: [oncall]`",
    field: ["notify"],
    lacks: (secret) => (secret.notify.length === 0 ? "has no channel that is told of it" : undefined),
  }),
];

/** A rule for one of the things that `requires` may ask for. */
function requirement(
  wanted: Requirement,
  rule: {
    readonly remedy: string;
    readonly field: FieldPath;
    /** What the secret lacks, in words; undefined when it has it. */
    readonly lacks: (secret: LintedSecret) => string | undefined;
  },
): LintRule {
  return {
    id: `policy/requires-${wanted}`,
    severity: "policy",
    finds: `A secret is without what a policy requires: \`${wanted}\`.`,
    remedy: rule.remedy,
    breaches: eachSecret((secret) => {
      const asked = ruled(secret, "requires");
      if (asked === undefined || !asked.says.includes(wanted)) return [];
      const message = rule.lacks(secret);
      return message === undefined ? [] : [breach(secret, asked.policy, rule.field, message)];
    }),
  };
}

function breach(secret: LintedSecret, policy: PolicyEntry, field: FieldPath, what: string): Breach {
  return {
    secret: secret.ref,
    place: secret.at(field),
    message: `${secret.ref} ${what} (policy "${policy.match}")`,
    policy,
  };
}
