import type { Fence, Finding } from "../../core/rotator.ts";
import type { Session } from "./connection.ts";
import { readFence } from "./fence.ts";
import { identifier, literal } from "./names.ts";

/** A login that was there before Keyturn, and is to be imported for an owner role. */
interface Legacy {
  readonly owner: string;
  readonly login: string;
  readonly admin: string;
  readonly fence: Fence;
}

interface Facts {
  readonly comment: string;
  readonly canLogin: boolean;
  readonly administered: boolean;
  readonly member: boolean;
  /** Attributes that no imported login may have. */
  readonly forbidden: readonly string[];
  readonly ends: string | null;
}

/** Looks whether a login can be imported, and whether those that come after it will have all that it has. Reads only. */
export async function adoptionFindings(session: Session, legacy: Legacy): Promise<readonly Finding[]> {
  const { owner, login, admin, fence } = legacy;
  const check = `login ${login}`;
  const [facts] = await session.query<Facts>(factsOf(legacy));
  if (facts === undefined) {
    return [{ check, ok: false, message: "does not exist, or the owner role does not", code: "not-managed" }];
  }
  const no = (message: string, code: Finding["code"]): Finding => ({ check, ok: false, message, code });
  const mark = readFence(facts.comment);
  const found: Finding[] = [];
  if (mark === undefined && facts.comment.includes("[keyturn ")) {
    found.push(no("the mark of Keyturn in its comment cannot be read", "fence-conflict"));
  }
  if (mark !== undefined && (mark.ref !== fence.ref || mark.installation !== fence.installation)) {
    found.push(no(`belongs to secret ${mark.ref} of installation ${mark.installation}`, "not-managed"));
  }
  if (!facts.canLogin) found.push(no("may not log in", "not-managed"));
  if (facts.forbidden.length > 0) {
    const list = facts.forbidden.join(", ");
    found.push(no(`is ${list}: what an administrator logs in with is not for a fleet`, "config-invalid"));
  }
  if (found.length > 0) return found;
  if (!facts.administered) {
    const grant = `GRANT ${identifier(login)} TO ${identifier(admin)} WITH ADMIN OPTION`;
    found.push(no(`${admin} lacks the ADMIN option on it: ${grant}`, "admin-lacks-rights"));
  }
  if (!facts.member) found.push(no(`is no member of the owner role ${owner}`, "config-invalid"));
  const lacking = await whatOwnerLacks(session, owner, login);
  if (lacking.length > 0) {
    const list = lacking.join("; ");
    found.push(
      no(`has what ${owner} lacks, and so would every login that comes after it: ${list}`, "access-differs"),
    );
  }
  if (found.length > 0) return found;
  const until = facts.ends === null ? "" : `, until ${facts.ends}, and so will those that come after it`;
  return [{ check, ok: true, message: `may log in${until}, and nothing of it is anybody else's` }];
}

/** What a legacy login has and the owner role does not: whoever comes after it acts as the owner role. Every role may read this. */
export async function whatOwnerLacks(
  session: Session,
  owner: string,
  login: string,
): Promise<readonly string[]> {
  const pg = "pg_catalog";
  const reassign = `REASSIGN OWNED BY ${identifier(login)} TO ${identifier(owner)}`;
  const rows = await session.query<{ lack: string }>(`
    WITH roles AS (SELECT l.oid AS login, o.oid AS owner, l.rolcreatedb AND NOT o.rolcreatedb AS creates
      FROM ${pg}.pg_roles l, ${pg}.pg_roles o
      WHERE l.rolname = ${literal(login)} AND o.rolname = ${literal(owner)} AND l.oid <> o.oid)
    SELECT 'CREATEDB' AS lack FROM roles WHERE creates
    UNION ALL
    SELECT format('membership in %s', r.rolname) FROM roles, ${pg}.pg_auth_members m JOIN ${pg}.pg_roles r ON r.oid = m.roleid
    WHERE m.member = login AND r.oid <> owner AND NOT ${pg}.pg_has_role(owner, r.oid, 'MEMBER')
    UNION ALL
    SELECT CASE s.deptype WHEN 'o' THEN format('%s objects of its own in %s (%s)', count(DISTINCT (s.classid, s.objid)),
        coalesce('database ' || d.datname, 'the cluster'), ${literal(reassign)})
      ELSE format('rights granted to itself on %s objects in database %s (grant them to the owner role instead)',
        count(DISTINCT (s.classid, s.objid)), d.datname) END
    FROM roles, ${pg}.pg_shdepend s LEFT JOIN ${pg}.pg_database d ON d.oid = s.dbid
    WHERE s.refobjid = login AND s.refclassid = '${pg}.pg_authid'::regclass AND s.classid <> '${pg}.pg_auth_members'::regclass
      AND (s.deptype = 'o' OR (s.deptype = 'a' AND s.dbid <> 0)) GROUP BY s.deptype, d.datname`);
  return rows.map((row) => row.lack);
}

function factsOf({ owner, login, admin }: Legacy): string {
  return `SELECT coalesce(shobj_description(l.oid, 'pg_authid'), '') AS comment, l.rolcanlogin AS "canLogin",
    pg_has_role(l.oid, o.oid, 'MEMBER') AS member, (SELECT me.rolsuper OR (me.rolcreaterole AND
      (current_setting('server_version_num')::int < 160000 OR pg_has_role(l.oid, 'MEMBER WITH ADMIN OPTION')))
      FROM pg_roles me WHERE me.rolname = ${literal(admin)}) AS administered,
    to_char(nullif(l.rolvaliduntil, 'infinity'), 'YYYY-MM-DD') AS ends,
    to_json(array_remove(ARRAY[CASE WHEN l.rolsuper THEN 'SUPERUSER' END, CASE WHEN l.rolcreaterole THEN 'CREATEROLE' END,
      CASE WHEN l.rolreplication THEN 'REPLICATION' END, CASE WHEN l.rolbypassrls THEN 'BYPASSRLS' END], NULL)) AS forbidden
    FROM pg_roles l, pg_roles o WHERE l.rolname = ${literal(login)} AND o.rolname = ${literal(owner)}`;
}
