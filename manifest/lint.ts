import type { TypeFacts } from "./check-config.ts";
import { advice } from "./lint-advice.ts";
import { policyRules } from "./lint-policies.ts";
import type { LintRule } from "./lint-rule.ts";
import { lintSubject } from "./lint-subject.ts";
import { formatProblem, inReadingOrder, type Place } from "./problem.ts";
import type { ManifestRead } from "./read.ts";

/** Something that `keyturn lint` has to say of a manifest. */
export interface LintFinding extends Place {
  /** The rule's id. */
  readonly rule: string;
  readonly severity: "error" | "warning";
  /** The secret that it is about. Undefined: none, or many. */
  readonly secret: string | undefined;
  readonly message: string;
  readonly remedy: string;
}

/** What is wrong with the manifest itself; every other command refuses it. */
const invalid: LintRule = {
  id: "manifest/invalid",
  severity: "error",
  finds:
    "What no command accepts: unknown fields, names that lead nowhere, values where references belong, and the like.",
  remedy: "correct it; every other command refuses the manifest until then",
  breaches: () => [],
};

/** Every rule that there is. Rules are data: what is not in this table is not found. */
export const lintRules: readonly LintRule[] = [invalid, ...policyRules, ...advice];

/** Looks at a manifest by every rule. One with problems of its own is told those, and nothing that would only follow from them. */
export function lint(read: ManifestRead, facts: ReadonlyMap<string, TypeFacts>): readonly LintFinding[] {
  if (read.manifest === undefined) {
    const found = read.problems.map(({ file, line, column, field, message }) => ({
      file,
      line,
      column,
      rule: invalid.id,
      severity: "error" as const,
      secret: field[0] === "secrets" && field[1] !== undefined ? String(field[1]) : undefined,
      message: formatProblem({ file, line, column, field, message }),
      remedy: invalid.remedy,
    }));
    return inReadingOrder(found, read.files);
  }
  const subject = lintSubject(read.manifest, read, facts);
  const found = lintRules.flatMap((rule) =>
    rule.breaches(subject).map(({ secret, place, message, remedy = rule.remedy, policy }) => ({
      file: place.file,
      line: place.line,
      column: place.column,
      rule: rule.id,
      severity: rule.severity === "policy" ? (policy?.severity ?? "error") : rule.severity,
      secret,
      message,
      remedy,
    })),
  );
  return inReadingOrder(found, read.files);
}
