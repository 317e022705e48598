// Written by `npm run gen` from the files of rotators/. Do not edit.
import type { Rotator } from "../core/rotator.ts";
import { rotator as awsIamAccessKey } from "../rotators/aws-iam-access-key.ts";
import { rotator as postgresAlternating } from "../rotators/postgres-alternating.ts";
import { rotator as postgresPassword } from "../rotators/postgres-password.ts";

/** Every credential type, by its name. */
export const credentialTypes: ReadonlyMap<string, Rotator> = new Map(
  [awsIamAccessKey, postgresAlternating, postgresPassword].map((rotator) => [rotator.type, rotator]),
);
