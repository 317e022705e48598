import { about, type Breach, eachSecret, type LintRule, ruled } from "./lint-rule.ts";
import type { LintedSecret } from "./lint-subject.ts";
import type { FieldPath } from "./problem.ts";

/** What is worth a second look, whatever the policies say. */
export const advice: readonly LintRule[] = [
  {
    id: "advice/no-schedule",
    severity: "warning",
    finds: "A secret without a schedule, which is rotated only when a person asks for it.",
    remedy: "write `schedule: { every: 30d }`, for example",
    breaches: eachSecret((secret) => {
      // A policy that asks for it says so itself.
      const asked = ruled(secret, "maxAgeMs") ?? ruled(secret, "requires");
      const isAsked =
        asked !== undefined && (typeof asked.says === "number" || asked.says.includes("schedule"));
      return secret.interval !== undefined || isAsked ? [] : [breach(secret, [], "has no schedule")];
    }),
  },
  {
    id: "advice/no-tenant",
    severity: "warning",
    finds: "A secret without a tenant, where others have one, that administers nothing.",
    remedy: "say whose it is: `tenant: acme`; what all tenants share has none",
    breaches: ({ secrets }) => {
      const admins = administering(secrets);
      return secrets.some(({ tenant }) => tenant !== undefined)
        ? secrets
            .filter(({ ref, tenant }) => tenant === undefined && !admins.has(ref))
            .map((secret) => breach(secret, [], "has no tenant, and others have one"))
        : [];
    },
  },
  {
    id: "advice/no-fleets",
    severity: "warning",
    finds: "A secret that no fleet may read, and that administers nothing.",
    remedy: "name the fleets that read it: `fleets: [invoice-agents]`",
    breaches: (subject) => {
      const admins = administering(subject.secrets);
      return subject.secrets
        .filter(({ ref, fleets }) => fleets.length === 0 && !admins.has(ref))
        .map((secret) => breach(secret, [], "names no fleet: agents cannot read it"));
    },
  },
  {
    id: "advice/grace-longer-than-schedule",
    severity: "warning",
    finds:
      "A grace window that may last longer than the time from one rotation to the next, which then has to wait.",
    remedy: "shorten `grace.atMost`, or rotate less often",
    breaches: eachSecret((secret) => {
      const { graceAtMostMs } = secret.policy;
      const { shortestMs = Number.POSITIVE_INFINITY } = secret.interval ?? {};
      if (graceAtMostMs <= shortestMs) return [];
      const message = `grace may last ${about(graceAtMostMs)}, and the next rotation is due after ${about(shortestMs)}`;
      return [breach(secret, ["grace", "atMost"], message)];
    }),
  },
  {
    id: "advice/admin-held",
    severity: "warning",
    finds: "An administering login that is only held, so that nothing ever rotates it.",
    remedy: "give it a type that rotates it, with itself as `admin`",
    breaches: ({ manifest, secrets, placeOf }) =>
      [...manifest.held.keys()].flatMap((ref) => {
        const users = secrets.filter(({ admin }) => admin === ref);
        const others = users.length > 1 ? ` and ${users.length - 1} more` : "";
        const message = `${ref} administers ${users[0]?.ref}${others}, and is never rotated`;
        return users.length === 0 ? [] : [{ secret: ref, place: placeOf(ref), message }];
      }),
  },
  {
    id: "advice/fleet-of-many-tenants",
    severity: "warning",
    finds: "A fleet that may read secrets of more than one tenant.",
    remedy: "give each tenant a fleet of its own",
    breaches: ({ manifest, secrets }) =>
      manifest.fleets.flatMap((fleet) => {
        const readable = secrets.filter(
          ({ fleets, tenant }) => tenant !== undefined && fleets.includes(fleet),
        );
        const tenants = [...new Set(readable.map(({ tenant }) => tenant))];
        // Told where the second tenant comes in.
        const second = readable.find(({ tenant }) => tenant === tenants[1]);
        if (second === undefined || tenants.length < 2) return [];
        return [
          breach(second, ["fleets"], `is read by ${fleet}, which reads secrets of ${tenants.join(", ")}`),
        ];
      }),
  },
  {
    id: "advice/policy-for-nothing",
    severity: "warning",
    finds: "A policy that is for no secret.",
    remedy: "correct its `match`, or take it out; `*` does not pass a slash, `**` does",
    breaches: ({ policies, secrets }) =>
      policies
        .filter(
          ({ place: _, match }) =>
            !secrets.some(({ matching }) => matching.some((one) => one.match === match)),
        )
        .map(({ place, match }) => ({ secret: undefined, place, message: `"${match}" matches no secret` })),
  },
  {
    id: "advice/nobody-told",
    severity: "warning",
    finds:
      "Secrets that rotate by themselves in a manifest that has no channel: nobody is told when one is halted.",
    remedy: "write a channel under `notify`",
    breaches: ({ manifest, secrets, start }) => {
      const scheduled = secrets.some(({ interval }) => interval !== undefined);
      if (!scheduled || manifest.notify.size > 0) return [];
      return [{ secret: undefined, place: start, message: "nobody is told when a rotation is halted" }];
    },
  },
];

/** The logins by which others are changed: all tenants may share one, and no agent reads it. */
function administering(secrets: readonly LintedSecret[]): ReadonlySet<string | undefined> {
  return new Set(secrets.map(({ admin }) => admin));
}

function breach(secret: LintedSecret, field: FieldPath, what: string): Breach {
  return { secret: secret.ref, place: secret.at(field), message: `${secret.ref}: ${what}` };
}
