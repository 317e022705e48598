import { createHash } from "node:crypto";
import { KeyturnError } from "../core/errors.ts";
import type { Clock, Random } from "../core/ports.ts";
import { Secret } from "../core/secret.ts";
import { Database } from "./database.ts";
import type { Row } from "./row.ts";

/** Only the hash of a token is kept: the tokens are as long as keys, so that it cannot be guessed back. */
const migrations = [
  `CREATE TABLE tokens (
     hash TEXT PRIMARY KEY, principal TEXT NOT NULL, fleets TEXT NOT NULL,
     created_at REAL NOT NULL, expires_at REAL, revoked_at REAL
   ) STRICT;
   CREATE INDEX tokens_principal ON tokens (principal);`,
];

/** Who speaks, and for which fleets. */
export interface Enrolled {
  readonly principal: string;
  readonly fleets: readonly string[];
}

export interface Enrolment extends Enrolled {
  readonly createdAt: number;
  readonly expiresAt: number | undefined;
  readonly revokedAt: number | undefined;
}

export interface Tokens {
  /** The token is given here and never again. A principal may have several, so that one can take over from the other. */
  enrol(who: Enrolled & { readonly expiresAt?: number | undefined }): Promise<Secret>;
  /** Undefined for a token that is unknown, expired or revoked. */
  authenticate(token: string): Promise<Enrolled | undefined>;
  /** Ends every token of a principal, and gives how many. Twice is once. */
  revoke(principal: string): Promise<number>;
  /** Every enrolment there ever was, the oldest first. */
  list(): Promise<readonly Enrolment[]>;
}

interface TokenOptions {
  readonly clock: Pick<Clock, "now">;
  readonly random: Random;
}

/** The agents' tokens in a SQLite file. */
export async function openTokens(
  path: string,
  create: boolean,
  { clock, random }: TokenOptions,
): Promise<Tokens & Disposable> {
  const database = await Database.open({ path, migrations, unavailable: "store-unavailable" }, create);
  return {
    enrol: async ({ principal, fleets, expiresAt }) => {
      check(principal, fleets);
      const token = `keyturn-agent-${Buffer.from(random.bytes(32)).toString("base64url")}`;
      await database.write(() =>
        database.run(
          "INSERT INTO tokens (hash, principal, fleets, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
          hashOf(token),
          principal,
          JSON.stringify(fleets),
          clock.now(),
          expiresAt ?? null,
        ),
      );
      return new Secret(token);
    },
    authenticate: async (token) => {
      const row = await database.read(() =>
        database.row("SELECT * FROM tokens WHERE hash = ?", hashOf(token)),
      );
      if (row === undefined || row.has("revoked_at")) return undefined;
      const { principal, fleets, expiresAt } = enrolment(row);
      return expiresAt !== undefined && expiresAt <= clock.now() ? undefined : { principal, fleets };
    },
    revoke: async (principal) =>
      database.write(() =>
        database.run(
          "UPDATE tokens SET revoked_at = ? WHERE principal = ? AND revoked_at IS NULL",
          clock.now(),
          principal,
        ),
      ),
    list: async () => {
      const rows = await database.read(() =>
        database.rows("SELECT * FROM tokens ORDER BY created_at, principal"),
      );
      return rows.map(enrolment);
    },
    [Symbol.dispose]: () => database.close(),
  };
}

/** Without a slash: `host/a` is agent a of host, and must be nobody else's name. */
const principalPattern = /^[A-Za-z0-9._-]{1,100}$/;

function check(principal: string, fleets: readonly string[]): void {
  if (!principalPattern.test(principal)) {
    throw new KeyturnError(
      "input-invalid",
      "a principal is up to 100 letters, digits, dots, underscores and hyphens",
    );
  }
  if (fleets.length === 0) throw new KeyturnError("input-invalid", `${principal} is enrolled for no fleet`);
}

function enrolment(row: Row): Enrolment {
  const fleets = row.json("fleets");
  return {
    principal: row.text("principal"),
    fleets: Array.isArray(fleets) ? fleets.map(String) : [],
    createdAt: row.number("created_at"),
    expiresAt: row.optionalNumber("expires_at"),
    revokedAt: row.optionalNumber("revoked_at"),
  };
}

function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
