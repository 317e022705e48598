import { KeyturnError } from "../../core/errors.ts";
import type { Log } from "../../core/ports.ts";
import type { Session } from "./connection.ts";
import { whatOwnerLacks } from "./legacy.ts";
import { literal, slotsOf } from "./names.ts";

/** Makes sure that the fleet will act as one of the roles, where that matters, at a server that can be written to. */
export async function checkIdentity(
  session: Session,
  username: string,
  roles?: readonly string[],
): Promise<void> {
  const [found] = await session.query<{ acting: string; login: string; standby: boolean; frozen: boolean }>(
    `SELECT current_user AS acting, session_user AS login, pg_catalog.pg_is_in_recovery() AS standby,
       EXISTS (SELECT FROM pg_catalog.pg_settings WHERE name = 'default_transaction_read_only' AND setting = 'on'
         AND source NOT IN ('user', 'database', 'database user', 'client', 'session')) AS frozen`,
  );
  if (found?.standby || found?.frozen) {
    throw new KeyturnError(
      "unreachable",
      "the server is read-only: a standby, or a failover that is under way",
    );
  }
  if (found?.login !== username || roles?.includes(found.acting) === false) {
    throw new KeyturnError(
      "access-differs",
      `${username} logs in as ${found?.login} and acts as ${found?.acting}, not as ${(roles ?? [username]).join(" or ")}`,
    );
  }
}

/**
 * Compares what the new login is and has with what the old one is and has. What the owner role itself is set to may differ from the
 * old login's: it was changed since then, and this rotation brings it in.
 */
export async function compareAccess(
  session: Session,
  logins: { readonly pending: string; readonly current: string; readonly owner: string },
  log: Log,
): Promise<void> {
  const slots = slotsOf(logins.owner);
  // Back to the login that was imported: it is as it always was.
  if (!slots.includes(logins.pending)) return;
  const isLegacy = !slots.includes(logins.current);
  const traits = await session.query<Trait>(traitsOf([logins.pending, logins.current, logins.owner]));
  const of = (role: string) =>
    new Map(
      traits.filter((trait) => trait.role === role).map((trait) => [`${trait.kind} ${trait.name}`, trait]),
    );
  const [pending, current, owner] = [of(logins.pending), of(logins.current), of(logins.owner)];
  for (const [key, { kind }] of owner) {
    if (kind === "setting" && !pending.has(key))
      log("warn", `${key} of ${logins.owner} does not reach ${logins.pending}`);
  }
  // Whoever is gone has nothing left to be compared with.
  if (current.size === 0) return;
  for (const { kind, name, value } of current.values()) {
    if ((kind === "owns" || kind === "granted") && !isLegacy)
      log("warn", direct(logins.current, kind, name, value));
  }
  // By its own name the new login has only limits and settings: all else it has by acting as the owner role.
  const compared = [...new Set([...pending.keys(), ...current.keys()])].filter(
    (key) => !isLegacy || /^(setting|attribute (CONNECTION LIMIT|VALID UNTIL)$)/.test(key),
  );
  const lacking = isLegacy ? await whatOwnerLacks(session, logins.owner, logins.current) : [];
  const differences = compared.flatMap((key) => {
    const [mine, theirs] = [pending.get(key), current.get(key)];
    const kind = mine?.kind ?? theirs?.kind;
    if (mine?.value === theirs?.value || kind === "owns" || kind === "granted") return [];
    if (kind === "setting" && mine !== undefined && mine.value === owner.get(key)?.value) return [];
    // A setting's value may be somebody's secret.
    return [kind === "setting" ? key : `${key} (${mine?.value ?? "no"} instead of ${theirs?.value ?? "no"})`];
  });
  differences.push(...lacking.map((lack) => `${lack}, which ${logins.owner} lacks`));
  if (differences.length === 0) return;
  throw new KeyturnError(
    "access-differs",
    `${logins.pending} differs from ${logins.current} in: ${differences.join(", ")}`,
  );
}

interface Trait {
  readonly role: string;
  readonly kind: "attribute" | "membership" | "setting" | "owns" | "granted";
  readonly name: string;
  readonly value: string;
}

function direct(login: string, kind: "owns" | "granted", database: string, count: string): string {
  return kind === "owns"
    ? `${login} itself owns ${count} objects in ${database}: it left the owner role (SET ROLE NONE, DISCARD ALL) to make them, and its successor cannot change them`
    : `${login} itself was granted rights on ${count} objects in ${database}; grant them to the owner role, or its successor lacks them`;
}

/** Every role may read this of every other. Names are qualified: a fleet's search path is the fleet's own. */
function traitsOf(roles: readonly string[]): string {
  const pg = "pg_catalog";
  return `WITH login AS (SELECT * FROM ${pg}.pg_roles WHERE rolname IN (${roles.map(literal).join(", ")}))
  SELECT l.rolname::text AS role, 'attribute' AS kind, a.name, a.value FROM login l, LATERAL (VALUES
    ('SUPERUSER', l.rolsuper::text), ('CREATEDB', l.rolcreatedb::text), ('CREATEROLE', l.rolcreaterole::text),
    ('REPLICATION', l.rolreplication::text), ('BYPASSRLS', l.rolbypassrls::text), ('INHERIT', l.rolinherit::text),
    ('CONNECTION LIMIT', l.rolconnlimit::text), ('VALID UNTIL', coalesce(l.rolvaliduntil, 'infinity')::text)) AS a(name, value)
  UNION ALL
  SELECT l.rolname, 'membership', r.rolname, concat_ws(', ', 'member',
    CASE WHEN bool_or(m.admin_option) THEN 'admin' END,
    CASE WHEN bool_or((to_jsonb(m) ->> 'inherit_option')::boolean) THEN 'inherit' END,
    CASE WHEN bool_or((to_jsonb(m) ->> 'set_option')::boolean) THEN 'set' END)
  FROM login l JOIN ${pg}.pg_auth_members m ON m.member = l.oid JOIN ${pg}.pg_roles r ON r.oid = m.roleid
  GROUP BY l.rolname, r.rolname
  UNION ALL
  SELECT l.rolname, 'setting', concat(split_part(c, '=', 1), ' in database ' || d.datname), substr(c, strpos(c, '=') + 1)
  FROM login l JOIN ${pg}.pg_db_role_setting s ON s.setrole = l.oid
    LEFT JOIN ${pg}.pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) AS c
  WHERE split_part(c, '=', 1) <> 'role'
  UNION ALL
  SELECT l.rolname, CASE s.deptype WHEN 'o' THEN 'owns' ELSE 'granted' END, coalesce('database ' || d.datname, 'the cluster'),
    count(DISTINCT (s.classid, s.objid))::text
  FROM login l JOIN ${pg}.pg_shdepend s ON s.refobjid = l.oid AND s.refclassid = '${pg}.pg_authid'::regclass
    LEFT JOIN ${pg}.pg_database d ON d.oid = s.dbid
  WHERE s.deptype IN ('o', 'a') AND s.classid <> '${pg}.pg_auth_members'::regclass AND l.rolname <> ${literal(roles.at(-1) ?? "")}
  GROUP BY l.rolname, s.deptype, d.datname`;
}
