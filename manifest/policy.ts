import type { Policy } from "../core/ports.ts";
import { formatDuration } from "./duration.ts";
import type { GraceEntry, PolicyEntry } from "./manifest.ts";
import type { FieldPath } from "./problem.ts";
import { readSchedule } from "./schedule.ts";
import type { SecretContent } from "./schema.ts";
import type { PolicyContent } from "./schema-policy.ts";

const minute = 60_000;
const defaults = {
  cacheTtlMs: minute,
  graceAtMostMs: 24 * 60 * minute,
  onLaggards: "hold",
  confirmEveryMs: minute,
  stepDeadlineMs: 30_000,
  attemptsMax: 5,
  retryBaseMs: 1_000,
  retryMaxMs: 5 * minute,
} as const;

/** A secret's policy: its own words first, then those of the first policy that is for it and speaks of it, then the defaults. */
export function policyFor(ref: string, entry: SecretContent, matching: readonly PolicyEntry[]): Policy {
  const schedule = entry.schedule && readSchedule(ref, entry.schedule).schedule;
  return { ...defaults, ...timesFor(entry, matching), schedule };
}

/** What of a policy is about how long a credential lives. */
export type PolicyTimes = Pick<Policy, "cacheTtlMs" | "graceAtLeastMs" | "graceAtMostMs" | "onLaggards">;

export function timesFor(entry: SecretContent, matching: readonly PolicyEntry[]): PolicyTimes {
  const graces = [graceEntry(entry.grace), ...matching.map(({ grace }) => grace)].filter(
    (grace) => grace !== undefined,
  );
  const first = <Key extends keyof GraceEntry>(key: Key): GraceEntry[Key] | undefined =>
    graces.find((grace) => grace[key] !== undefined)?.[key];

  const cacheTtlMs = entry.cacheTtl ?? defaults.cacheTtlMs;
  return {
    cacheTtlMs,
    graceAtLeastMs: first("atLeastMs") ?? cacheTtlMs,
    graceAtMostMs: first("atMostMs") ?? defaults.graceAtMostMs,
    onLaggards: first("onLaggards") ?? defaults.onLaggards,
  };
}

export interface Contradiction {
  readonly field: FieldPath;
  readonly message: string;
}

/** Grace windows that end before they can do what they are for. */
export function contradictions(policy: PolicyTimes): readonly Contradiction[] {
  const atLeast = `${formatDuration(policy.graceAtLeastMs)} of grace.atLeast`;
  const found: Contradiction[] = [];
  if (policy.graceAtLeastMs < policy.cacheTtlMs) {
    found.push({
      field: ["grace", "atLeast"],
      message: `the ${atLeast} are over before agents read again: cacheTtl is ${formatDuration(policy.cacheTtlMs)}`,
    });
  }
  if (policy.graceAtMostMs < policy.graceAtLeastMs) {
    found.push({
      field: ["grace", "atMost"],
      message: `the ${formatDuration(policy.graceAtMostMs)} of grace.atMost are less than the ${atLeast}`,
    });
  }
  return found;
}

/** The policies that are for a reference, in the order in which they are read. */
export function policiesFor(ref: string, policies: readonly PolicyEntry[]): readonly PolicyEntry[] {
  return policies.filter(({ match }) => matches(match, ref));
}

/** What the first policy that speaks of a field says of it. */
export function ruling<Field extends keyof PolicyEntry>(
  matching: readonly PolicyEntry[],
  field: Field,
): PolicyEntry[Field] | undefined {
  return matching.find((policy) => policy[field] !== undefined)?.[field];
}

/** `*` stands for any part of a reference, or for some of one; `**` for any number of parts; `?` for one character. */
export function matches(pattern: string, ref: string): boolean {
  // Where in the reference the pattern may have come to. Unlike a regular expression, it never goes back, and takes no time with any pattern.
  const [letters = ""] = /^[^*?]*/.exec(pattern) ?? [];
  if (!ref.startsWith(letters)) return false;
  let reached: ReadonlySet<number> = new Set([letters.length]);
  for (const token of pattern.slice(letters.length).match(/\*\*|./g) ?? []) {
    reached = new Set([...reached].flatMap((at) => reachable(token, ref, at)));
  }
  return reached.has(ref.length);
}

function reachable(token: string, ref: string, at: number): readonly number[] {
  if (token === "**" || token === "*") {
    const slash = token === "*" ? ref.indexOf("/", at) : -1;
    const end = slash === -1 ? ref.length : slash;
    return Array.from({ length: end - at + 1 }, (_, more) => at + more);
  }
  const letter = ref[at];
  const fits = token === "?" ? letter !== undefined && letter !== "/" : letter === token;
  return fits ? [at + 1] : [];
}

export function policyEntry(content: PolicyContent): PolicyEntry {
  const { match, severity = "error", maxAge, requires, grace, graceLimits, tenant } = content;
  return {
    match,
    severity,
    maxAgeMs: maxAge,
    requires,
    grace: graceEntry(grace),
    graceLimits: graceLimits && { atLeastMs: graceLimits.atLeast, atMostMs: graceLimits.atMost },
    tenant: tenant && { oneOf: tenant.oneOf, part: tenant.part },
    notify: content.notify,
    secondPerson: content.secondPerson,
    maxAffected: content.maxAffected,
  };
}

function graceEntry(content: PolicyContent["grace"]): GraceEntry | undefined {
  if (content === undefined) return undefined;
  const { atLeast, atMost, onLaggards } = content;
  return { atLeastMs: atLeast, atMostMs: atMost, onLaggards };
}
