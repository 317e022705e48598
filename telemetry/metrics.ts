/** How a metric is measured: a state that is read when it is exported, something that happened, or how long it took. */
export type MetricKind = "gauge" | "counter" | "histogram";

/** What a measurement may be told apart by. None of them ever holds a value, a version, the name of an agent or a message. */
export type AttributeName =
  | "keyturn.secret"
  | "keyturn.type"
  | "keyturn.tenant"
  | "keyturn.phase"
  | "keyturn.step"
  | "keyturn.kind"
  | "keyturn.outcome"
  | "keyturn.reason"
  | "keyturn.state"
  | "keyturn.fleet"
  | "keyturn.channel"
  | "error.type";

export interface MetricRow {
  readonly name: string;
  readonly kind: MetricKind;
  /** UCUM, as OpenTelemetry has it: `s`, or what is counted in braces. */
  readonly unit: "s" | `{${string}}`;
  /** All that a measurement may carry; those that do not apply are left out of it. */
  readonly attributes: readonly AttributeName[];
  /** One sentence, for the collector's own pages too. */
  readonly description: string;
  /** Upper bounds of a histogram's buckets, in its unit. */
  readonly buckets?: readonly number[];
}

const hour = 3_600;
const stepSeconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const lagSeconds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 5 * 60, hour];
const graceSeconds = [1, 5, 15, 60, 5 * 60, 15 * 60, hour, 4 * hour, 12 * hour, 24 * hour, 7 * 24 * hour];

/** Every metric that there is. The documentation, the dashboard and the alerts are checked against this table. */
export const metricTable = {
  credentialAge: {
    name: "keyturn.credential.age",
    kind: "gauge",
    unit: "s",
    attributes: ["keyturn.secret", "keyturn.type", "keyturn.tenant"],
    description: "How long the current version of the secret has been current.",
  },
  credentialMaxAge: {
    name: "keyturn.credential.max_age",
    kind: "gauge",
    unit: "s",
    attributes: ["keyturn.secret", "keyturn.type", "keyturn.tenant"],
    description: "The greatest age that the policy allows; only where a policy says one.",
  },
  secrets: {
    name: "keyturn.secrets",
    kind: "gauge",
    unit: "{secret}",
    attributes: ["keyturn.phase"],
    description: "Secrets by the phase that they are in; `none` is one that was never rotated.",
  },
  halted: {
    name: "keyturn.secret.halted",
    kind: "gauge",
    unit: "{secret}",
    attributes: ["keyturn.secret", "keyturn.type", "error.type"],
    description: "1 for a secret whose rotation is halted until a person has looked; 0 otherwise.",
  },
  rotationAge: {
    name: "keyturn.rotation.age",
    kind: "gauge",
    unit: "s",
    attributes: ["keyturn.secret", "keyturn.type", "keyturn.phase"],
    description: "How long ago the rotation that is under way began.",
  },
  fleetAgents: {
    name: "keyturn.fleet.agents",
    kind: "gauge",
    unit: "{agent}",
    attributes: ["keyturn.secret", "keyturn.state"],
    description:
      "Agents of a secret that has fleets: `live` ones, and of those `adopted` (have used current) and `laggard` (still have the old version).",
  },
  debts: {
    name: "keyturn.debts",
    kind: "gauge",
    unit: "{credential}",
    attributes: ["keyturn.secret", "keyturn.reason"],
    description: "Credentials that should be refused and are not yet proven so.",
  },
  debtAge: {
    name: "keyturn.debt.age",
    kind: "gauge",
    unit: "s",
    attributes: ["keyturn.secret"],
    description: "How long the oldest debt of the secret has been owed.",
  },
  dueLag: {
    name: "keyturn.due.lag",
    kind: "gauge",
    unit: "s",
    attributes: [],
    description: "How long the work that has been due for longest has waited; 0 when nothing waits.",
  },
  stepDuration: {
    name: "keyturn.rotation.step.duration",
    kind: "histogram",
    unit: "s",
    attributes: ["keyturn.type", "keyturn.step", "keyturn.outcome", "error.type"],
    description: "How long one step took.",
    buckets: stepSeconds,
  },
  rotationDuration: {
    name: "keyturn.rotation.duration",
    kind: "histogram",
    unit: "s",
    attributes: ["keyturn.type", "keyturn.kind", "keyturn.outcome"],
    description: "From the beginning of a rotation to its end, grace included.",
    buckets: graceSeconds,
  },
  rotations: {
    name: "keyturn.rotations",
    kind: "counter",
    unit: "{rotation}",
    attributes: ["keyturn.secret", "keyturn.type", "keyturn.outcome"],
    description: "Rotations that finished, were undone, or were halted.",
  },
  adoptionDuration: {
    name: "keyturn.adoption.duration",
    kind: "histogram",
    unit: "s",
    attributes: ["keyturn.type"],
    description:
      "From the announcement of a version until every live agent had used it and dropped the old one.",
    buckets: graceSeconds,
  },
  notificationLag: {
    name: "keyturn.notification.lag",
    kind: "histogram",
    unit: "s",
    attributes: ["keyturn.fleet"],
    description: "From the moment a version became current to an agent's word that it has used it.",
    buckets: lagSeconds,
  },
  failures: {
    name: "keyturn.failures",
    kind: "counter",
    unit: "{failure}",
    attributes: ["keyturn.secret", "keyturn.type", "keyturn.step", "error.type"],
    description: "Steps that failed; `reconcile` is a secret that could not be worked on at all.",
  },
  notifications: {
    name: "keyturn.notifications",
    kind: "counter",
    unit: "{notification}",
    attributes: ["keyturn.channel", "keyturn.outcome"],
    description:
      "Tries to notify a channel: `delivered`, `failed` (tried again later), or `dropped` for good.",
  },
} as const satisfies Record<string, MetricRow>;

export type MetricKey = keyof typeof metricTable;
