import type { Policy } from "../core/ports.ts";
import { every } from "../core/schedule.ts";
import { formatDuration } from "./duration.ts";
import type { GraceEntry, PolicyEntry } from "./manifest.ts";
import type { FieldPath } from "./problem.ts";
import type { PolicyContent, SecretContent } from "./schema.ts";

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

/** A secret's policy: its own words first, then those of the first policy that matches and speaks of it, then the defaults. */
export function policyFor(ref: string, entry: SecretContent, policies: readonly PolicyEntry[]): Policy {
  const matching = policies.filter((policy) => matches(policy.match, ref)).map(({ grace }) => grace);
  const graces = [graceEntry(entry.grace), ...matching].filter((grace) => grace !== undefined);
  const first = <Key extends keyof GraceEntry>(key: Key): GraceEntry[Key] | undefined =>
    graces.find((grace) => grace[key] !== undefined)?.[key];

  const cacheTtlMs = entry.cacheTtl ?? defaults.cacheTtlMs;
  return {
    ...defaults,
    schedule: entry.schedule?.every === undefined ? undefined : every(entry.schedule.every),
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
export function contradictions(policy: Policy): readonly Contradiction[] {
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

/** `*` stands for any part of a reference, or for some of one; `**` for any number of parts; `?` for one character. */
export function matches(pattern: string, ref: string): boolean {
  const expression = pattern.replaceAll(/\*\*|[*?.]/g, (found) => wildcards[found] ?? found);
  return new RegExp(`^${expression}$`).test(ref);
}

const wildcards: Readonly<Record<string, string>> = { "**": ".*", "*": "[^/]*", "?": "[^/]", ".": "\\." };

export function policyEntry(content: PolicyContent): PolicyEntry {
  const { match, maxAge, requires = [], grace } = content;
  return { match, maxAgeMs: maxAge, requires, grace: graceEntry(grace) };
}

function graceEntry(content: PolicyContent["grace"]): GraceEntry | undefined {
  if (content === undefined) return undefined;
  const { atLeast, atMost, onLaggards } = content;
  return { atLeastMs: atLeast, atMostMs: atMost, onLaggards };
}
