import type { Entry, Section } from "./gather.ts";
import { didYouMean } from "./nearest.ts";
import type { FieldPath, Problem } from "./problem.ts";
import { readSchedule } from "./schedule.ts";
import type { SecretContent } from "./schema.ts";
import { inspectConfig } from "./values.ts";

/** Stored, and not rotated by this version. No credential type may have this name. */
export const heldType = "held";

export interface Names {
  readonly stores: ReadonlySet<string>;
  readonly secrets: ReadonlySet<string>;
  readonly notify: ReadonlySet<string>;
  /** Undefined: not known here. */
  readonly types: readonly string[] | undefined;
}

/** What the schema of one entry cannot see: names that lead nowhere, values where references belong, and circles. */
export function checkSecrets(secrets: Section<SecretContent>, names: Names): readonly Problem[] {
  return [...secrets.entries.flatMap((entry) => checkSecret(entry, names)), ...checkCircles(secrets.entries)];
}

/** For configs of every kind: that they hold no value, and that what they refer to is there. */
export function checkConfig(
  entry: Entry<unknown>,
  config: unknown,
  field: FieldPath,
  secrets: ReadonlySet<string>,
): readonly Problem[] {
  const { suspects, references } = inspectConfig(config, field);
  return [
    ...suspects.map((suspect) =>
      entry.problem(suspect.field, `${suspect.reason}; the manifest holds references, never values`),
    ),
    ...references.flatMap((reference) => missing(entry, reference.field, "secret", reference.ref, secrets)),
  ];
}

function checkSecret(entry: Entry<SecretContent>, names: Names): readonly Problem[] {
  const { store, type, config, admin, schedule, notify = [] } = entry.content;
  const problems = (["store", "type"] as const)
    .filter((field) => entry.content[field] === undefined && !entry.refused.has(field))
    .map((field) => entry.problem([field], "is missing"));
  if (store !== undefined) problems.push(...missing(entry, ["store"], "store", store, names.stores));
  if (type === heldType) return [...problems, ...checkHeld(entry)];

  if (names.types !== undefined && type !== undefined) {
    problems.push(...missing(entry, ["type"], "type", type, new Set([...names.types, heldType])));
  }
  if (admin !== undefined) {
    problems.push(...missing(entry, ["admin", "secret"], "secret", admin.secret, names.secrets));
  }
  notify.forEach((channel, index) => {
    problems.push(...missing(entry, ["notify", index], "channel", channel, names.notify));
  });
  problems.push(...checkConfig(entry, config, ["config"], names.secrets));
  problems.push(...checkSchedule(entry, schedule));
  return problems;
}

/** All that a held secret has. */
export const heldFields: ReadonlySet<string> = new Set(["store", "account", "type", "tenant"]);

function checkHeld(entry: Entry<SecretContent>): readonly Problem[] {
  return Object.keys(entry.content)
    .filter((field) => !heldFields.has(field))
    .map((field) => entry.problem([field], "is not for a held secret: it has a store, and is not rotated"));
}

function checkSchedule(entry: Entry<SecretContent>, schedule: SecretContent["schedule"]): readonly Problem[] {
  // What is left of a schedule of which something was refused says nothing.
  if (schedule === undefined || entry.refused.has("schedule")) return [];
  return readSchedule(entry.name, schedule).problems.map(({ field, message }) =>
    entry.problem(["schedule", ...field], message),
  );
}

/** A name that leads nowhere. */
export function missing(
  entry: Entry<unknown>,
  field: FieldPath,
  kind: "store" | "type" | "secret" | "channel",
  name: string,
  known: ReadonlySet<string>,
): readonly Problem[] {
  if (known.has(name)) return [];
  return [entry.problem(field, `there is no ${kind} "${name}"${didYouMean(name, known)}`)];
}

/** A secret that administers itself is an administering login that changes its own password. A longer circle has no beginning. */
function checkCircles(entries: readonly Entry<SecretContent>[]): readonly Problem[] {
  const adminOf = new Map(entries.map(({ name, content }) => [name, content.admin?.secret]));
  const told = new Set<string>();
  return entries.flatMap((entry) => {
    const circle = circleFrom(entry.name, adminOf);
    if (circle === undefined || circle.some((ref) => told.has(ref))) return [];
    for (const ref of circle) told.add(ref);
    const way = [...circle, entry.name].join(" → ");
    return [entry.problem(["admin", "secret"], `secrets administer each other in a circle: ${way}`)];
  });
}

function circleFrom(
  start: string,
  adminOf: ReadonlyMap<string, string | undefined>,
): readonly string[] | undefined {
  const way = [start];
  let next = adminOf.get(start);
  while (next !== undefined && !way.includes(next)) {
    way.push(next);
    next = adminOf.get(next);
  }
  return next === start && way.length > 1 ? way : undefined;
}
