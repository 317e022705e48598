import * as z from "zod";
import { parseDuration } from "./duration.ts";

/** The name of a secret: words joined by slashes, such as `billing/db`. A word of dots alone would climb out of a folder. */
const ref = z
  .string()
  .max(200, "has more than 200 characters")
  .regex(
    /^(?!\.{1,2}(\/|$))[A-Za-z0-9._-]+(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._-]+)*$/,
    "is not a reference: letters, digits, `.`, `_` and `-`, in parts joined by `/`",
  );

/** The name of a store, fleet, tenant or channel. */
const name = z
  .string()
  .max(100, "has more than 100 characters")
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, "is not a name: letters, digits, `.`, `_` and `-`");

const duration = z.string().transform((text, context): number => {
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  context.addIssue(`is not a duration; write a number and its unit: 30d, 24h, 5m, 10s or 500ms`);
  return z.NEVER;
});

const reference = z.strictObject({ secret: ref });
const path = z.string().min(1, "must name a file");
/** Known to the design and not to this version: refused with the reason, and not as a typing error. */
const later = z.unknown().optional();

const grace = z.strictObject({
  atLeast: duration.optional(),
  atMost: duration.optional(),
  onLaggards: z.enum(["hold", "retire"]).optional(),
});

const StoreSchema = z.strictObject({
  local: z.strictObject({ path, key: path.optional() }).optional(),
  aws: later,
  azure: later,
  gcp: later,
});

const PolicySchema = z.strictObject({
  match: z
    .string()
    .regex(/^[A-Za-z0-9._*?/-]+$/, "is not a pattern: a reference in which `*` stands for a part"),
  maxAge: duration.optional(),
  grace: grace.optional(),
  requires: z.array(z.enum(["both-live"])).optional(),
});

const SecretSchema = z.strictObject({
  // Required, but it is `check-secrets.ts` that says so: an entry without them is still looked at for everything else.
  store: name.optional(),
  type: name.optional(),
  config: z.record(z.string(), z.unknown()).optional(),
  admin: reference.optional(),
  schedule: z.strictObject({ every: duration.optional(), window: later, cron: later }).optional(),
  grace: grace.optional(),
  cacheTtl: duration.optional(),
  fleets: z.array(name).optional(),
  tenant: name.optional(),
  notify: z.array(name).optional(),
});

/** One file. Written without unions, so that a path leads to one schema and a field that nobody knows to its neighbours. */
export const FileSchema = z.strictObject({
  include: z.array(z.string().min(1, "must name files")).optional(),
  stores: z.record(name, StoreSchema).optional(),
  policies: z.array(PolicySchema).optional(),
  secrets: z.record(ref, SecretSchema).optional(),
  notify: z.record(name, z.record(z.string(), z.unknown())).optional(),
});
export type FileContent = z.infer<typeof FileSchema>;
export type SecretContent = z.infer<typeof SecretSchema>;
export type PolicyContent = z.infer<typeof PolicySchema>;
export type StoreContent = z.infer<typeof StoreSchema>;

/** The fields that may stand in the mapping at that path; empty where any may. */
export function knownFields(field: readonly PropertyKey[]): readonly string[] {
  let schema: unknown = FileSchema;
  for (const step of field) schema = inside(schema, step);
  const found = unwrap(schema);
  return found instanceof z.ZodObject ? Object.keys(found.shape) : [];
}

function inside(schema: unknown, step: PropertyKey): unknown {
  const found = unwrap(schema);
  if (found instanceof z.ZodRecord) return found.valueType;
  if (found instanceof z.ZodArray) return found.element;
  return found instanceof z.ZodObject ? found.shape[String(step)] : undefined;
}

function unwrap(schema: unknown): unknown {
  return schema instanceof z.ZodOptional ? schema.unwrap() : schema;
}
