import * as z from "zod";
import { durationPattern, parseDuration } from "./duration.ts";

/** The name of a secret: words joined by slashes, such as `billing/db`. A word of dots alone would climb out of a folder. */
export const ref = z
  .string()
  .max(200, "has more than 200 characters")
  .regex(
    /^(?!\.{1,2}(\/|$))[A-Za-z0-9._-]+(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._-]+)*$/,
    "is not a reference: letters, digits, `.`, `_` and `-`, in parts joined by `/`",
  );

/** The name of a store, fleet, tenant, channel or person. */
export const name = z
  .string()
  .max(100, "has more than 100 characters")
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, "is not a name: letters, digits, `.`, `_` and `-`");

/** Text in a file, milliseconds in the program. */
export const duration = z
  .string()
  .regex(durationPattern, "is not a duration; write a number and its unit: 30d, 24h, 5m, 10s or 500ms")
  .transform((text): number => parseDuration(text) ?? z.NEVER);

/** Another secret, by its name. */
export const reference = z.strictObject(
  { secret: ref.describe("The reference of a secret of this manifest.") },
  "must be the reference of a secret, such as `{ secret: ops/hook }`",
);

/** An account of AWS. YAML would read the digits as a number, and lose zeros in front. */
export const awsAccount = z.string().regex(/^\d{12}$/, "must be the twelve digits of an account, in quotes");

export const path = z.string().min(1, "must name a file");

/** Known to the design and not to this version: refused with the reason, and not as a typing error. */
export const later = z.unknown().optional().meta({ description: "Not in this version.", not: {} });

export const grace = z.strictObject({
  atLeast: duration
    .optional()
    .describe("The old credential works at least so long, whoever has changed over. Default: `cacheTtl`."),
  atMost: duration
    .optional()
    .describe("After so long those that have not changed over are named. Default: 24h."),
  onLaggards: z
    .enum(["hold", "retire"])
    .optional()
    .describe(
      "What happens then: the old credential goes on working and a person is told (`hold`, the default), or it is cut off (`retire`).",
    ),
});
