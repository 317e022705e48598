import * as z from "zod/mini";
import { type StepContext, secretField } from "../../core/rotator.ts";

const milliseconds = (description: string) =>
  z.int().check(z.gte(0), z.lte(31 * 86_400_000), z.describe(`${description}, in milliseconds.`));

const accessKeyId = z
  .string()
  .check(z.regex(/^\w{16,128}$/, "is not the id of an access key: 16 to 128 letters and digits"));

/** What there is to say of an IAM user and its keys. */
export const Config = z.strictObject({
  userName: z
    .string()
    .check(
      z.regex(/^[\w+=,.@-]{1,64}$/, "is not the name of an IAM user"),
      z.describe("The IAM user whose access keys are rotated. It belongs to this secret alone."),
    ),
  path: z._default(
    z
      .string()
      .check(
        z.regex(/^\/(?:[!-.0-~]+\/)*$/, "is not a path: it begins and ends with `/`"),
        z.describe("The user's path in IAM, where it has one."),
      ),
    "/",
  ),
  region: z
    .string()
    .check(
      z.regex(/^[a-z]{2}(?:-[a-z]+)+-\d$/, "is not a region, such as eu-west-1"),
      z.describe("Where a key is tried, at STS. It must be enabled for the account."),
    ),
  freshKeyMs: z._default(milliseconds("How long AWS may take to accept a key that it has just made"), 20_000),
  quietMs: z._default(
    milliseconds("How long an old key must not have been used before it is retired"),
    120_000,
  ),
  keepInactiveMs: z._default(
    milliseconds("How long a retired key stays there, inactive, for whoever may still need it"),
    86_400_000,
  ),
  deleteImported: z._default(
    z
      .boolean()
      .check(
        z.describe(
          "Whether a key that was imported is deleted in the end, like those that Keyturn made. Otherwise a person deletes it.",
        ),
      ),
    false,
  ),
});
export type Config = z.infer<typeof Config>;

/** What agents sign with. */
export const Credential = z.looseObject({ accessKeyId, secretAccessKey: secretField() });
export type Credential = z.infer<typeof Credential>;

/** The administering access key. Without one it is whoever runs: the function's own role, or what the SDK finds on the machine. */
export const Admin = z.optional(
  z.looseObject({ accessKeyId, secretAccessKey: secretField(), sessionToken: z.optional(secretField()) }),
);
export type Admin = z.infer<typeof Admin>;

export type Context = StepContext<Config, Admin>;
