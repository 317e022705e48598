import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import * as z from "zod/mini";
import { type PostgresServer, startPostgres } from "../integration/postgres-server.ts";

const Login = z.object({ username: z.string(), password: z.string() });

/** Who may be at the server in the end. */
export interface Expected {
  /** Anything else whose name has a `base` in it was left behind. */
  readonly roles: readonly string[];
  readonly bases: readonly string[];
  /** Who may log in besides whoever is current. */
  readonly mayLogIn: readonly string[];
}

/** A session of a process that was killed ends when the server notices. */
const patienceMs = 5_000;

/** A server on which a reader may log in without TLS: it does so very often, what is put to the proof are the worker's connections, and they have it. */
export function startServer(): Promise<PostgresServer> {
  return startPostgres({ maxConnections: 300, hba: ["hostnossl all all 127.0.0.1/32 scram-sha-256"] });
}

export async function acceptsLogin({ port, database }: PostgresServer, value: string): Promise<boolean> {
  const { username, password } = z.parse(Login, JSON.parse(value));
  const client = new pg.Client({ host: "127.0.0.1", port, database, user: username, password });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return true;
  } catch (error) {
    const code: unknown = Object(error).code;
    if (code === "28P01" || code === "28000") return false;
    throw error;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Roles that nobody should have left, logins that should be none, and sessions, with the locks that they hold. */
export async function leftAtServer(
  server: PostgresServer,
  { roles, bases, mayLogIn }: Expected,
  current: string | undefined,
): Promise<readonly string[]> {
  const user = current && z.parse(Login, JSON.parse(current)).username;
  const superuser = await server.client();
  const left: string[] = [];
  try {
    const { rows } = await superuser.query<{ rolname: string; rolcanlogin: boolean }>(
      "SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname ~ ('(^|_)(' || $1 || ')(_|$)')",
      [bases.join("|")],
    );
    for (const { rolname, rolcanlogin } of rows) {
      if (!roles.includes(rolname)) left.push(`the role ${rolname} was left behind`);
      if (rolcanlogin && rolname !== user && !mayLogIn.includes(rolname)) {
        left.push(`the role ${rolname} may log in`);
      }
    }
    return [...left, ...(await sessionsLeft(superuser, roles))];
  } finally {
    await superuser.end();
  }
}

async function sessionsLeft(superuser: pg.Client, roles: readonly string[]): Promise<readonly string[]> {
  const giveUpAt = performance.now() + patienceMs;
  for (;;) {
    // Whoever has no session holds no lock: there is nothing that is prepared here.
    const { rows } = await superuser.query<{ usename: string; locks: number }>(
      `SELECT usename, (SELECT count(*)::int FROM pg_locks WHERE pg_locks.pid = activity.pid) AS locks
         FROM pg_stat_activity AS activity WHERE usename = ANY($1)`,
      [roles],
    );
    if (rows.length === 0) return [];
    if (performance.now() > giveUpAt) {
      return rows.map(({ usename, locks }) => `a session of ${usename} is left, with ${locks} locks`);
    }
    await sleep(20);
  }
}
