import * as z from "zod/mini";
import { secretField } from "../../core/rotator.ts";
import { roleNameProblem } from "./names.ts";

/** Names and hosts are quoted wherever they are used; control characters would only serve to deceive a reader of logs. */
const plain = z
  .string()
  .check(z.minLength(1, "must not be empty"), z.regex(/^\P{C}+$/u, "has odd characters"));

/** The name of a role, as the server would keep it. */
export const roleName = plain.check(
  z.check<string>((checked) => {
    const problem = roleNameProblem(checked.value);
    if (problem !== undefined)
      checked.issues.push({ code: "custom", input: checked.value, message: problem });
  }),
);

export const probeText = z.optional(
  z
    .string()
    .check(
      z.minLength(1, "must not be empty"),
      z.describe("SQL that the test runs as the fleet would; it must not fail."),
    ),
);

const milliseconds = (description: string) =>
  z.int().check(z.gte(1), z.lte(600_000), z.describe(`${description}, in milliseconds.`));

/** How every PostgreSQL type reaches its server: always by TLS, with the server's certificate checked. */
export const connectionFields = {
  host: plain.check(
    z.regex(/^[^\s/@]+$/, "must be a host name or an address"),
    z.describe("The server, by the name that its certificate is for."),
  ),
  port: z._default(z.int().check(z.gte(1), z.lte(65_535), z.describe("The server's port.")), 5432),
  database: plain.check(z.describe("The database that is logged in to.")),
  tls: z._default(
    z
      .strictObject({
        ca: z.optional(
          z
            .string()
            .check(
              z.minLength(1, "must not be empty"),
              z.describe(
                "The authority that signed the server's certificate: a file, relative to this one, or the PEM text itself. Default: the well-known ones.",
              ),
            ),
        ),
        servername: z.optional(
          plain.check(z.describe("The name in the server's certificate, where it is not the host's.")),
        ),
      })
      .check(z.describe("How the server's certificate is checked, which it always is.")),
    {},
  ),
  connectTimeoutMs: z._default(milliseconds("How long the server may take to let a login in"), 5_000),
  lockTimeoutMs: z._default(milliseconds("How long a change waits for a lock"), 1_000),
  statementTimeoutMs: z._default(milliseconds("How long a statement may take"), 10_000),
} as const;

const Connection = z.strictObject(connectionFields);
export type Connection = z.infer<typeof Connection>;

/** The administering login. */
export const Admin = z.looseObject({ username: plain, password: secretField() });
export type Admin = z.infer<typeof Admin>;

/** What agents log in with, and where. */
export const Credential = z.looseObject({
  username: plain,
  password: secretField(),
  host: z.optional(z.string()),
  port: z.optional(z.number()),
  database: z.optional(z.string()),
});
export type Credential = z.infer<typeof Credential>;
