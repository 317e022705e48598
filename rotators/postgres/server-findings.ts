import { asKeyturnError, type ErrorCode } from "../../core/errors.ts";
import type { Finding, StepContext } from "../../core/rotator.ts";
import type { Admin, Connection } from "./config.ts";
import { administer, type Session } from "./connection.ts";
import { literal } from "./names.ts";

type Context = StepContext<Connection, Admin>;

interface Facts {
  readonly standby: boolean;
  readonly createrole: boolean;
  readonly signals: boolean;
  readonly sees: boolean;
  readonly free: number;
}

/**
 * Logs in as the administrator and looks at the server as such; `users` are those who will log in there, as pg_hba.conf names them. Without
 * a session the findings say why there is none. An outage is no finding: it is thrown, for it says nothing of how things are set up,
 * and may have passed by the next try.
 */
export async function lookAtServer(
  context: Context,
  users: readonly string[],
): Promise<{ readonly session: Session | undefined; readonly findings: readonly Finding[] }> {
  let session: Session;
  try {
    session = await administer(context);
  } catch (thrown) {
    const error = asKeyturnError(thrown);
    if (error.disposition === "retry") throw error;
    const findings = [{ check: "connection", ok: false, message: error.message, code: error.code }];
    return { session: undefined, findings };
  }
  const { config, admin } = context;
  const facts = await factsOf(session);
  const trusting = await trusts(session, users);
  const findings = [
    {
      check: "connection",
      ok: true,
      message: `${admin.username} logs in over TLS at ${config.host}:${config.port}`,
    },
    finding("password", "not-authenticated", session.authenticated && !trusting, {
      yes: "the server asks for the password by SCRAM",
      no: session.authenticated
        ? "pg_hba.conf has a rule that lets the logins in without SCRAM (trust or password)"
        : "the server let the administering login in without asking for its password: look for trust in pg_hba.conf",
    }),
    finding("writable", "target-rejected", !facts.standby, {
      yes: "the server is no standby",
      no: "the server is a standby: name the primary",
    }),
    finding("createrole", "admin-lacks-rights", facts.createrole, {
      yes: `${admin.username} may make roles`,
      no: `${admin.username} lacks CREATEROLE`,
    }),
    finding("sessions", "admin-lacks-rights", facts.signals && facts.sees, {
      yes: `${admin.username} may see and end sessions`,
      no: `${admin.username} lacks ${facts.signals ? "pg_read_all_stats" : "pg_signal_backend"}`,
    }),
    finding("connections", "target-busy", facts.free >= 3, {
      yes: `${facts.free} connection slots are free`,
      no: `only ${facts.free} connection slots are free`,
    }),
  ];
  return { session, findings };
}

/** Whether the administering login may change a role, as SQL: `oid` is the role's, and `me` the administering login's row of pg_roles. */
export function administers(oid: string): string {
  return `(me.rolsuper OR (me.rolcreaterole AND
      (current_setting('server_version_num')::int < 160000 OR pg_has_role(${oid}, 'MEMBER WITH ADMIN OPTION'))))`;
}

/** The same of a role by its name; NULL where it does not exist. */
export function administersRole(role: string): string {
  return `(SELECT ${administers("r.oid")} FROM pg_roles r WHERE r.rolname = ${literal(role)})`;
}

export function finding(
  check: string,
  code: ErrorCode,
  ok: boolean,
  messages: { readonly yes: string; readonly no: string },
): Finding {
  return ok ? { check, ok, message: messages.yes } : { check, ok, message: messages.no, code };
}

async function factsOf(session: Session): Promise<Facts> {
  const [facts] = await session.query<Facts>(`SELECT pg_is_in_recovery() AS standby,
    me.rolcreaterole OR me.rolsuper AS createrole,
    pg_has_role('pg_signal_backend', 'USAGE') AS signals,
    pg_has_role('pg_read_all_stats', 'USAGE') AS sees,
    (current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
      - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'))::int AS free
    FROM pg_roles me WHERE me.rolname = session_user`);
  if (facts === undefined) throw new Error("the administering login does not see itself");
  return facts;
}

/** The rules are shown to superusers only, unless somebody has granted the sight of them. Those for the server's own host are its own. */
async function trusts(session: Session, users: readonly string[]): Promise<boolean> {
  const [may] = await session.query<{ look: boolean }>(
    "SELECT has_table_privilege('pg_hba_file_rules', 'SELECT') AND has_function_privilege('pg_hba_file_rules()', 'EXECUTE') AS look",
  );
  if (may?.look !== true) return false;
  const rules = await session.query(
    `SELECT FROM pg_hba_file_rules WHERE type IN ('host', 'hostssl') AND auth_method IN ('trust', 'password')
       AND address NOT IN ('127.0.0.1', '::1', 'localhost', 'samehost') AND database <> '{replication}'
       AND user_name && ARRAY[${["all", ...users].map(literal).join(", ")}]`,
  );
  return rules.length > 0;
}
