import type { TypeFacts } from "./check-config.ts";
import type { Entry } from "./gather.ts";
import type { Manifest, ManifestSecret, PolicyEntry } from "./manifest.ts";
import { policiesFor } from "./policy.ts";
import type { FieldPath, Place } from "./problem.ts";
import type { ManifestRead } from "./read.ts";
import { type Interval, intervalOf } from "./schedule-interval.ts";
import type { SecretContent } from "./schema.ts";

/** A manifest without problems, in the shape in which rules look at it. */
export interface LintSubject {
  readonly manifest: Manifest;
  readonly secrets: readonly LintedSecret[];
  readonly policies: readonly LintedPolicy[];
  /** Where the manifest begins. */
  readonly start: Place;
  /** Where a secret stands, a held one for example. */
  placeOf(ref: string): Place;
}

export interface LintedSecret extends ManifestSecret {
  /** As it was written. */
  readonly content: SecretContent;
  /** Undefined: not known here. */
  readonly overlap: TypeFacts["overlap"] | undefined;
  /** The policies that are for it, in the order in which they are read. */
  readonly matching: readonly PolicyEntry[];
  /** How far its rotations are apart. Undefined: it has no schedule. */
  readonly interval: Interval | undefined;
  at(field: FieldPath): Place;
}

export interface LintedPolicy extends PolicyEntry {
  readonly place: Place;
}

export function lintSubject(
  manifest: Manifest,
  read: ManifestRead,
  facts: ReadonlyMap<string, TypeFacts>,
): LintSubject {
  const entries = new Map(read.secrets.map((entry) => [entry.name, entry]));
  const start = { file: manifest.path, line: 1, column: 1 };
  const placeOf = (ref: string): Place => entries.get(ref)?.problem([], "") ?? start;
  const linted = (entry: Entry<SecretContent>): readonly LintedSecret[] => {
    const managed = manifest.secrets.get(entry.name);
    if (managed === undefined) return [];
    return [
      {
        ...managed,
        content: entry.content,
        overlap: facts.get(managed.type)?.overlap,
        matching: policiesFor(entry.name, manifest.policies),
        interval: entry.content.schedule && intervalOf(entry.content.schedule),
        at: (field) => entry.problem(field, ""),
      },
    ];
  };
  return {
    manifest,
    secrets: read.secrets.flatMap(linted),
    policies: manifest.policies.map((policy, index) => ({
      ...policy,
      place: read.policies[index]?.problem(["match"], "") ?? start,
    })),
    start,
    placeOf,
  };
}
