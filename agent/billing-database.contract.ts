import { setTimeout as sleep } from "node:timers/promises";
import { format } from "node:util";
import type pg from "pg";
import { vi } from "vitest";
import { type PostgresServer, startPostgres } from "../integration/postgres-server.ts";
import { FakeService } from "./fake-service.contract.ts";
import { connect } from "./index.ts";
import { createPool, type PgPoolOptions, type RotatingPgPool } from "./pg.ts";

export const ref = "billing/db";
export const agent = "invoices/1";
export const passwords = { a1: "canary-a1", b1: "canary-b1", a2: "canary-a2", wrong: "canary-wrong" };

/** A real PostgreSQL whose logins a test changes by hand, as a rotation would. */
export class BillingDatabase implements AsyncDisposable {
  readonly server: PostgresServer;
  readonly admin: pg.Client;

  static async start(): Promise<BillingDatabase> {
    const server = await startPostgres({ maxConnections: 50 });
    const admin = await server.client();
    await admin.query("CREATE ROLE billing; CREATE TABLE notes (text text); CREATE SEQUENCE runs");
    await admin.query("ALTER TABLE notes OWNER TO billing; ALTER SEQUENCE runs OWNER TO billing");
    return new BillingDatabase(server, admin);
  }

  constructor(server: PostgresServer, admin: pg.Client) {
    this.server = server;
    this.admin = admin;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.admin.end();
    await this.server.stop();
  }

  /** A pool on an agent of its own, with both logins alive and `billing_a` current. */
  async setUp(options: PgPoolOptions & { readonly overlap?: "both-live" | "cutover" } = {}) {
    const { overlap = "both-live", ...poolOptions } = options;
    await this.admin.query("DROP ROLE IF EXISTS billing_a, billing_b; TRUNCATE notes");
    await this.setLogin("billing_a", passwords.a1);
    await this.setLogin("billing_b", passwords.b1);
    const service = new FakeService();
    service.overlap = overlap;
    const put = (version: string, username: string, password: string) =>
      service.put(ref, version, this.credential(username, password));
    put("v1", "billing_a", passwords.a1);
    const lines: string[] = [];
    const log = (...line: unknown[]) => lines.push(format(...line));
    const client = await connect({ transport: service, agent, fleet: "invoices", spreadMs: 20, log });
    const pool = createPool(client, ref, { ssl: { ca: this.server.ca }, max: 6, log, ...poolOptions });
    const dispose = async () => {
      await pool.end();
      await client.close();
      for (const role of ["billing_a", "billing_b"]) await this.cut(role);
    };
    return { service, put, client, pool, lines, [Symbol.asyncDispose]: dispose };
  }

  credential(username: string, password: string) {
    return { username, password, host: "localhost", port: this.server.port, database: "postgres" };
  }

  async setLogin(role: string, password: string): Promise<void> {
    const { rowCount } = await this.admin.query("SELECT FROM pg_roles WHERE rolname = $1", [role]);
    const verb = rowCount === 0 ? "CREATE" : "ALTER";
    await this.admin.query(`${verb} ROLE ${role} LOGIN PASSWORD '${password}'; GRANT billing TO ${role}`);
  }

  /** What retire does to the login: refused from now on, and its sessions ended. Gives their number. */
  async cut(role: string): Promise<number> {
    await this.admin.query(`ALTER ROLE ${role} NOLOGIN PASSWORD NULL`);
    const ended = await this.endSessions(role);
    while ((await this.sessionsOf(role)) > 0) await sleep(2);
    return ended;
  }

  async endSessions(role: string): Promise<number> {
    const { rowCount } = await this.admin.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1",
      [role],
    );
    return rowCount ?? 0;
  }

  async sessionsOf(...roles: string[]): Promise<number> {
    const { rowCount } = await this.admin.query("SELECT FROM pg_stat_activity WHERE usename = ANY ($1)", [
      roles,
    ]);
    return rowCount ?? 0;
  }

  /** The most sessions that both logins had at once until it is stopped. */
  async watchSessions(): Promise<() => Promise<number>> {
    const observer = await this.server.client();
    let most = 0;
    let watching = true;
    const watched = (async () => {
      while (watching) {
        const { rowCount } = await observer.query(
          "SELECT FROM pg_stat_activity WHERE usename LIKE 'billing%'",
        );
        most = Math.max(most, rowCount ?? 0);
      }
    })();
    return async () => {
      watching = false;
      await watched;
      await observer.end();
      return most;
    };
  }

  /** How often a statement with the sequence `runs` in it was executed. */
  async runs(): Promise<number> {
    const { rows } = await this.admin.query(
      "SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS n FROM runs",
    );
    return Number(rows[0]?.n);
  }
}

export async function whoAmI(pool: RotatingPgPool): Promise<string> {
  const { rows } = await pool.query<{ name: string }>("SELECT current_user AS name");
  return rows[0]?.name ?? "";
}

/** Statements one after the other from several callers, until it is stopped. */
export function underLoad(pool: RotatingPgPool) {
  const failures: unknown[] = [];
  let done = 0;
  let stopped = false;
  const callers = Array.from({ length: 12 }, async () => {
    while (!stopped) {
      await pool.query("SELECT pg_sleep(0.002)").then(
        () => {
          done += 1;
        },
        (failure: unknown) => failures.push(failure),
      );
    }
  });
  const stop = async () => {
    stopped = true;
    await Promise.all(callers);
    return { failures, done };
  };
  return { stop, count: () => done };
}

/** The agent has used the version, and has nothing else any more. */
export function released(service: FakeService, version: string): Promise<boolean> {
  const isReleased = () => {
    const report = service.lastReport(agent, ref);
    return report?.adopted === version && report.inUse.join() === version;
  };
  return vi.waitUntil(isReleased, 3_000);
}
