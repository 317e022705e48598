import * as z from "zod";
import { duration, grace, name } from "./schema-words.ts";

/** Rules as data: what holds for every secret whose reference matches. */
export const PolicySchema = z.strictObject({
  match: z
    .string()
    .regex(/^[A-Za-z0-9._*?/-]+$/, "is not a pattern: a reference in which `*` stands for a part")
    .describe(
      "The references that it is for. `*` stands for one part or some of one, `**` for any number of parts, `?` for one character.",
    ),
  severity: z
    .enum(["error", "warning"])
    .optional()
    .describe(
      "What `keyturn lint` makes of a breach. Default: error. `warning` is for rules that are being introduced.",
    ),
  maxAge: duration
    .optional()
    .describe("No value may become older: there is a schedule, and it rotates at least so often."),
  grace: grace.optional().describe("The grace window of secrets that do not give their own."),
  graceLimits: z
    .strictObject({
      atLeast: duration.optional().describe("The least that a secret's `grace.atLeast` may be."),
      atMost: duration.optional().describe("The most that a secret's `grace.atMost` may be."),
    })
    .optional()
    .describe("What every grace window must lie within, whoever gives it."),
  requires: z
    .array(z.enum(["both-live", "schedule", "window", "fleets", "tenant", "notify"]))
    .optional()
    .describe(
      "What every secret must have: a type that keeps old and new alive together (`both-live`), a schedule, a maintenance window, fleets, a tenant, someone who is told.",
    ),
  tenant: z
    .strictObject({
      oneOf: z.array(name).min(1, "must name a tenant").optional().describe("The tenants that it may have."),
      part: z
        .int("must be a whole number")
        .min(1, "must be 1 or more")
        .max(20, "must be 20 or less")
        .optional()
        .describe(
          "The part of the reference that names the tenant, counted from 1: with 1, `acme/db` is acme's.",
        ),
    })
    .meta({ anyOf: [{ required: ["oneOf"] }, { required: ["part"] }] })
    .optional()
    .describe("Whose the secrets are."),
  notify: z.array(name).optional().describe("The channels of secrets that do not name their own."),
  secondPerson: z
    .array(z.enum(["revoke"]))
    .optional()
    .describe("What needs the consent of a second person of `people`."),
  maxAffected: z
    .int("must be a whole number")
    .min(1, "must be 1 or more")
    .optional()
    .describe("How many secrets one revocation may affect."),
});
export type PolicyContent = z.infer<typeof PolicySchema>;
