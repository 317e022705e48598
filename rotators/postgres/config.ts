import * as z from "zod/mini";
import { secretField } from "../../core/rotator.ts";

/** Names and hosts are quoted wherever they are used; control characters would only serve to deceive a reader of logs. */
const plain = z
  .string()
  .check(z.minLength(1, "must not be empty"), z.regex(/^\P{C}+$/u, "has odd characters"));

const milliseconds = z.int().check(z.gte(1), z.lte(600_000));

/** How every PostgreSQL type reaches its server: always by TLS, with the server's certificate checked. */
export const connectionFields = {
  host: plain.check(z.regex(/^[^\s/@]+$/, "must be a host name or an address")),
  port: z._default(z.int().check(z.gte(1), z.lte(65_535)), 5432),
  database: plain,
  tls: z._default(
    z.strictObject({
      /** The authority that signed the server's certificate: a file, or the PEM text itself. Without it, the well-known ones. */
      ca: z.optional(z.string().check(z.minLength(1, "must not be empty"))),
      /** The name in the server's certificate, where it is not the host's. */
      servername: z.optional(plain),
    }),
    {},
  ),
  connectTimeoutMs: z._default(milliseconds, 5_000),
  lockTimeoutMs: z._default(milliseconds, 1_000),
  statementTimeoutMs: z._default(milliseconds, 10_000),
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
