import { isPatient } from "./patience.ts";

/** What is said of a secret in the manifest beside where it is. */
interface Said {
  readonly fleets?: readonly string[];
  readonly cacheTtl?: string;
  readonly grace?: Readonly<Record<string, string>>;
  readonly schedule?: Readonly<Record<string, string>>;
}

/** Which secrets an installation has, by their names. */
export interface Secrets {
  readonly databases: Readonly<Record<string, Said>>;
  /** Of users of IAM. */
  readonly users: Readonly<Record<string, Said>>;
}

/** Short enough to be waited for; nobody has to release what nobody reads. */
export const soon: Said = { cacheTtl: "1s", grace: { atLeast: "1s", atMost: "4s", onLaggards: "retire" } };

const hourly: Said = { ...soon, schedule: { every: "1h" } };

function named(group: string, names: readonly string[], said = soon): Readonly<Record<string, Said>> {
  return Object.fromEntries(names.map((name) => [`${group}/${name}`, said]));
}

/** Numbered from 1. */
function each(name: string, count: number): Readonly<Record<string, Said>> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`${name}/${index + 1}`, soon]));
}

/** Of tests that nobody has the patience for every day. */
const patient: Secrets["databases"] = {
  ...each("killed", 7),
  ...each("restarted", 4),
  ...each("frozen", 4),
  ...named("away", ["set", "grace"], hourly),
  "untagged/db": soon,
};

/**
 * What the functions' rights on secrets go by. By names, as they do where nobody says otherwise; where there is patience they go by tags, so that both are held to
 * what the functions do.
 */
export const secretsBy = isPatient ? "tag" : "name";

/** The databases' secrets of the installation. Each test has secrets of its own, with a role and a way to the server of their own. */
export const databases: Secrets["databases"] = {
  "ordered/db": soon,
  "revoked/db": { ...soon, fleets: ["revoked-agents"] },
  "fleet/db": { fleets: ["web"], cacheTtl: "24s", grace: { atLeast: "24s", atMost: "5m" } },
  "rolled/db": { fleets: ["rolled"], cacheTtl: "6s", grace: { atLeast: "30s", atMost: "5m" } },
  // By its pulse alone a host would have the next value after almost four minutes.
  "heard/db": { fleets: ["heard"], cacheTtl: "5m", grace: { atLeast: "5m", atMost: "10m" } },
  "astray/db": { fleets: ["astray"], cacheTtl: "8s", grace: { atLeast: "8s", atMost: "5m" } },
  "twice/db": { ...hourly, fleets: ["twice"] },
  "paused/db": hourly,
  "held/db": soon,
  "cancelled/db": soon,
  "driven/db": hourly,
  ...named("refused", ["reading", "writing", "journal"]),
  ...named("throttled", ["store", "journal"]),
  ...named("broken", ["admin", "current"]),
  ...named("gone", ["table", "secret"]),
  "imported/db": soon,
  ...(isPatient ? patient : {}),
};

/** The keys of users of IAM. */
export const users: Secrets["users"] = {
  "leaked/key": { ...soon, fleets: ["keyed"] },
  "abused/key": soon,
};

/** A role whose sessions may be ended. */
export const revocableRole = "agent-role";

/** What GitHub signs its deliveries with. */
export const webhookSecret = "ops/github";

/** What the administering login of a secret is called. */
export function adminOf(ref: string): string {
  return `${ref}-admin`;
}
