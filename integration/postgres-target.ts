import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import type pg from "pg";
import { Secret } from "../core/secret.ts";
import { identifier, slotsOf } from "../rotators/postgres/names.ts";
import { scramVerifier } from "../rotators/postgres/scram.ts";
import { setupSql } from "../rotators/postgres/setup.ts";
import type { Target } from "../rotators/steps.contract.ts";
import type { PostgresServer } from "./postgres-server.ts";

/** A role of its own with an administering login that has the least rights, on a server that many tests share. */
interface TargetRole extends Target {
  readonly administrator: { readonly username: string; readonly password: string };
  /** The database administrator's own session, one for each server. */
  readonly superuser: pg.Client;
  /** A session of an agent with this credential. */
  client(value: Secret): Promise<pg.Client>;
}

/** An owner role whose two logins take turns. */
export interface PostgresTarget extends TargetRole {
  readonly config: TargetConfig & { readonly owner: string };
  readonly owner: string;
  readonly slots: readonly [string, string];
}

/** One role with one password. It does not exist yet. */
export interface PasswordTarget extends TargetRole {
  readonly config: TargetConfig & { readonly username: string; readonly create: true };
  readonly username: string;
}

interface TargetConfig {
  readonly host: string;
  readonly port: number;
  readonly database: string;
}

let targets = 0;
const superusers = new WeakMap<PostgresServer, Promise<pg.Client>>();

export async function createTarget(
  server: PostgresServer,
  { owner = `app${++targets}`, database = "postgres" }: { owner?: string; database?: string } = {},
): Promise<PostgresTarget> {
  const made = await createAdministrator(server, owner, database);
  return {
    ...made,
    config: { ...made.config, owner },
    withPort: (port) => ({ ...made.config, owner, port }),
    owner,
    slots: slotsOf(owner),
    inPlaceOf: (other, value) => {
      const { username } = JSON.parse(other.reveal());
      return new Secret(JSON.stringify({ ...JSON.parse(value.reveal()), username }));
    },
  };
}

export async function createPasswordTarget(
  server: PostgresServer,
  { username = `one${++targets}`, database = "postgres" }: { username?: string; database?: string } = {},
): Promise<PasswordTarget> {
  const made = await createAdministrator(server, undefined, database);
  const config = { ...made.config, username, create: true } as const;
  // All of them live in the one place that there is.
  return {
    ...made,
    config,
    withPort: (port) => ({ ...config, port }),
    username,
    inPlaceOf: (_, value) => value,
  };
}

async function createAdministrator(server: PostgresServer, owner: string | undefined, database: string) {
  const administrator = { username: `rotator${++targets}`, password: randomBytes(18).toString("hex") };
  const wrong = { ...administrator, password: randomBytes(18).toString("hex") };
  const connecting = superusers.get(server) ?? server.client();
  superusers.set(server, connecting);
  const superuser = await connecting;
  const random = { bytes: (length: number) => new Uint8Array(randomBytes(length)) };
  const verifier = await scramVerifier(new Secret(administrator.password), random);
  const admin = identifier(administrator.username);
  await superuser.query(
    owner === undefined
      ? `CREATE ROLE ${admin} LOGIN CREATEROLE; GRANT pg_signal_backend, pg_read_all_stats TO ${admin}`
      : setupSql({ owner, admin: administrator.username, database }),
  );
  await superuser.query(`ALTER ROLE ${admin} PASSWORD '${verifier}'`);
  const config = { host: server.host, port: server.port, database, tls: { ca: server.caPath } };
  const client = (value: Secret) =>
    server.client({ ...JSON.parse(value.reveal()), applicationName: "agent" });
  return {
    config,
    administrator,
    superuser,
    admin: new Secret(JSON.stringify(administrator)),
    wrongAdmin: new Secret(JSON.stringify(wrong)),
    adminSecrets: [administrator.password, wrong.password],
    address: { host: "127.0.0.1", port: server.port },
    client,
    open: async (value: Secret) => {
      const session = await client(value);
      return {
        works: () =>
          session
            .query("SELECT 1")
            .then(() => true)
            .catch(() => false),
        close: () => session.end().catch(() => undefined),
      };
    },
    traces: async () => {
      const { rows } = await superuser.query("SELECT query FROM pg_stat_activity");
      return JSON.stringify(rows) + (await readFile(server.logPath, "utf8"));
    },
  };
}
