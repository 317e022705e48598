import type { LintedSecret, LintSubject } from "./lint-subject.ts";
import type { PolicyEntry } from "./manifest.ts";
import type { Place } from "./problem.ts";

/** One place at which a rule is broken. */
export interface Breach {
  /** The secret that it is about. Undefined: none, or many. */
  readonly secret: string | undefined;
  readonly place: Place;
  readonly message: string;
  /** What to do about it, where there is more to say than the rule says. */
  readonly remedy?: string;
  /** The policy that asks for it. */
  readonly policy?: PolicyEntry;
}

/** A rule of `keyturn lint`. */
export interface LintRule {
  /** Stable: what a CI job filters by. */
  readonly id: string;
  /** `policy`: as severe as the policy that asks for it says. */
  readonly severity: "error" | "warning" | "policy";
  /** What is found, in one sentence. */
  readonly finds: string;
  /** What to do about it. */
  readonly remedy: string;
  breaches(subject: LintSubject): readonly Breach[];
}

/** For rules that look at one secret at a time. */
export function eachSecret(
  check: (secret: LintedSecret, subject: LintSubject) => readonly Breach[],
): LintRule["breaches"] {
  return (subject) => subject.secrets.flatMap((secret) => check(secret, subject));
}

/** The first policy that is for the secret and speaks of the field, with what it says. */
export function ruled<Field extends keyof PolicyEntry>(
  { matching }: LintedSecret,
  field: Field,
): { readonly policy: PolicyEntry; readonly says: NonNullable<PolicyEntry[Field]> } | undefined {
  for (const policy of matching) {
    const says = policy[field];
    if (says !== undefined && says !== null) return { policy, says };
  }
  return undefined;
}

/** Milliseconds in days, hours and minutes, the two largest that there are, rounded up: for messages. */
export function about(ms: number): string {
  const minutes = Math.ceil(ms / 60_000);
  const parts = [
    [Math.floor(minutes / 1_440), "d"],
    [Math.floor(minutes / 60) % 24, "h"],
    [minutes % 60, "m"],
  ] as const;
  const said = parts.filter(([count]) => count > 0).slice(0, 2);
  return said.map(([count, unit]) => `${count}${unit}`).join(" ") || "0m";
}
