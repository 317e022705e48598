import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import type pg from "pg";
import { Secret } from "../core/secret.ts";
import { identifier, slotsOf } from "../rotators/postgres/names.ts";
import { scramVerifier } from "../rotators/postgres/scram.ts";
import { setupSql } from "../rotators/postgres/setup.ts";
import type { Target } from "../rotators/steps.contract.ts";
import type { PostgresServer } from "./postgres-server.ts";

/** An owner role of its own with an administering login that has the least rights, on a server that many tests share. */
export interface PostgresTarget extends Target {
  readonly config: {
    readonly host: string;
    readonly port: number;
    readonly database: string;
    readonly owner: string;
  };
  readonly owner: string;
  readonly slots: readonly [string, string];
  readonly administrator: { readonly username: string; readonly password: string };
  /** The database administrator's own session, one for each server. */
  readonly superuser: pg.Client;
  /** A session of an agent with this credential. */
  client(value: Secret): Promise<pg.Client>;
}

let targets = 0;
const superusers = new WeakMap<PostgresServer, Promise<pg.Client>>();

export async function createTarget(
  server: PostgresServer,
  { owner = `app${++targets}`, database = "postgres" }: { owner?: string; database?: string } = {},
): Promise<PostgresTarget> {
  const administrator = { username: `rotator${++targets}`, password: randomBytes(18).toString("hex") };
  const wrong = { ...administrator, password: randomBytes(18).toString("hex") };
  const connecting = superusers.get(server) ?? server.client();
  superusers.set(server, connecting);
  const superuser = await connecting;
  const random = { bytes: (length: number) => new Uint8Array(randomBytes(length)) };
  const verifier = await scramVerifier(new Secret(administrator.password), random);
  await superuser.query(setupSql({ owner, admin: administrator.username, database }));
  await superuser.query(`ALTER ROLE ${identifier(administrator.username)} PASSWORD '${verifier}'`);
  const config = { host: server.host, port: server.port, database, owner, tls: { ca: server.caPath } };
  const client = (value: Secret) =>
    server.client({ ...JSON.parse(value.reveal()), applicationName: "agent" });
  return {
    config,
    owner,
    slots: slotsOf(owner),
    administrator,
    superuser,
    admin: new Secret(JSON.stringify(administrator)),
    wrongAdmin: new Secret(JSON.stringify(wrong)),
    adminSecrets: [administrator.password, wrong.password],
    address: { host: "127.0.0.1", port: server.port },
    withPort: (port) => ({ ...config, port }),
    client,
    open: async (value) => {
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
    inPlaceOf: (other, value) => {
      const { username } = JSON.parse(other.reveal());
      return new Secret(JSON.stringify({ ...JSON.parse(value.reveal()), username }));
    },
    traces: async () => {
      const { rows } = await superuser.query("SELECT query FROM pg_stat_activity");
      return JSON.stringify(rows) + (await readFile(server.logPath, "utf8"));
    },
  };
}
