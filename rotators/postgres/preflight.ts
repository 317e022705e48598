import { asKeyturnError, type ErrorCode } from "../../core/errors.ts";
import type { Finding, StepContext } from "../../core/rotator.ts";
import type { Admin, Connection } from "./config.ts";
import { administer, type Session } from "./connection.ts";
import { readFence } from "./fence.ts";
import { literal, markerOf, slotsOf } from "./names.ts";

type Context = StepContext<Connection & { readonly owner: string }, Admin>;

/**
 * Looks at everything that a rotation will need, and changes nothing. An outage is no finding: it is thrown, for it says nothing of
 * how things are set up, and may have passed by the next try.
 */
export async function preflight(context: Context): Promise<readonly Finding[]> {
  let session: Session;
  try {
    session = await administer(context);
  } catch (thrown) {
    const error = asKeyturnError(thrown);
    if (error.disposition === "retry") throw error;
    return [{ check: "connection", ok: false, message: error.message, code: error.code }];
  }
  const { config, admin } = context;
  const facts = await factsOf(session, config.owner, admin.username);
  return [
    {
      check: "connection",
      ok: true,
      message: `${admin.username} logs in over TLS at ${config.host}:${config.port}`,
    },
    finding("password", "not-authenticated", session.authenticated && !facts.trusts, {
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
    ownerFinding(facts, config.owner),
    finding("grant", "admin-lacks-rights", facts.grants, {
      yes: `${admin.username} may grant ${config.owner}`,
      no: `${admin.username} lacks the ADMIN option on ${config.owner}`,
    }),
    finding("marker", "not-managed", facts.marker, {
      yes: `the lock role ${markerOf(config.owner)} is free or ours`,
      no: `the lock role ${markerOf(config.owner)} was made by another administering login`,
    }),
    ...slotsOf(config.owner).map((slot) => slotFinding(slot, facts, context)),
    finding("connections", "target-busy", facts.free >= 3, {
      yes: `${facts.free} connection slots are free`,
      no: `only ${facts.free} connection slots are free`,
    }),
  ];
}

interface Facts {
  readonly standby: boolean;
  readonly trusts: boolean;
  readonly createrole: boolean;
  readonly signals: boolean;
  readonly sees: boolean;
  readonly grants: boolean;
  readonly marker: boolean;
  /** What is wrong with the owner role; null: it does not exist. */
  readonly owner: readonly string[] | null;
  readonly free: number;
  /** The slots that exist. */
  readonly slots: Readonly<Record<string, { readonly comment: string; readonly administered: boolean }>>;
}

async function factsOf(session: Session, owner: string, admin: string): Promise<Facts> {
  const administers = (oid: string) => `(me.rolsuper OR (me.rolcreaterole AND
      (current_setting('server_version_num')::int < 160000 OR pg_has_role(${oid}, 'MEMBER WITH ADMIN OPTION'))))`;
  const administersRole = (role: string) =>
    `(SELECT ${administers("r.oid")} FROM pg_roles r WHERE r.rolname = ${literal(role)})`;
  const [row] = await session.query<{ facts: Facts }>(`SELECT json_build_object(
    'standby', pg_is_in_recovery(),
    'createrole', me.rolcreaterole OR me.rolsuper,
    'signals', pg_has_role('pg_signal_backend', 'USAGE'),
    'sees', pg_has_role('pg_read_all_stats', 'USAGE'),
    'grants', coalesce(${administersRole(owner)}, false),
    'marker', coalesce(${administersRole(markerOf(owner))}, true),
    'owner', (SELECT array_remove(ARRAY[CASE WHEN rolcanlogin THEN 'LOGIN' END, CASE WHEN rolsuper THEN 'SUPERUSER' END,
        CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolreplication THEN 'REPLICATION' END,
        CASE WHEN rolbypassrls THEN 'BYPASSRLS' END], NULL) FROM pg_roles WHERE rolname = ${literal(owner)}),
    'free', current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
      - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    'slots', (SELECT coalesce(json_object_agg(s.rolname, json_build_object(
        'comment', coalesce(shobj_description(s.oid, 'pg_authid'), ''), 'administered', ${administers("s.oid")})), '{}')
      FROM pg_roles s WHERE s.rolname IN (${slotsOf(owner).map(literal).join(", ")}))
    ) AS facts FROM pg_roles me WHERE me.rolname = ${literal(admin)}`);
  if (row === undefined) throw new Error(`the administering login ${admin} does not see itself`);
  return { ...row.facts, trusts: await trusts(session, owner) };
}

/** The rules are shown to superusers only, unless somebody has granted the sight of them. Those for the server's own host are its own. */
async function trusts(session: Session, owner: string): Promise<boolean> {
  const [may] = await session.query<{ look: boolean }>(
    "SELECT has_table_privilege('pg_hba_file_rules', 'SELECT') AND has_function_privilege('pg_hba_file_rules()', 'EXECUTE') AS look",
  );
  if (may?.look !== true) return false;
  const rules = await session.query(
    `SELECT FROM pg_hba_file_rules WHERE type IN ('host', 'hostssl') AND auth_method IN ('trust', 'password')
       AND address NOT IN ('127.0.0.1', '::1', 'localhost', 'samehost') AND database <> '{replication}'
       AND user_name && ARRAY[${["all", ...slotsOf(owner), `+${owner}`].map(literal).join(", ")}]`,
  );
  return rules.length > 0;
}

function ownerFinding({ owner }: Facts, name: string): Finding {
  const no = owner === null ? "does not exist" : `must not be ${owner.join(", ")}`;
  return finding("owner", "config-invalid", owner?.length === 0, {
    yes: `the owner role ${name} exists, and nobody logs in as it`,
    no: `the owner role ${name} ${no}`,
  });
}

function slotFinding(slot: string, { slots }: Facts, { fence, admin }: Context): Finding {
  const found = slots[slot];
  const check = `login ${slot}`;
  if (found === undefined) return { check, ok: true, message: "does not exist yet" };
  const mark = readFence(found.comment);
  if (mark === undefined) {
    return finding(check, "not-managed", false, { yes: "", no: "exists, and was not made by Keyturn" });
  }
  if (!found.administered) {
    const no = `${admin.username} lacks the ADMIN option on it`;
    return finding(check, "admin-lacks-rights", false, { yes: "", no });
  }
  if (mark.secret !== fence.ref || mark.installation !== fence.installation) {
    const no = `belongs to secret ${mark.secret} of installation ${mark.installation}`;
    return finding(check, "not-managed", false, { yes: "", no });
  }
  return finding(check, "superseded", mark.seen <= fence.epoch, {
    yes: `is ours, and has seen epoch ${mark.seen}`,
    no: `has seen epoch ${mark.seen}, and the journal is at ${fence.epoch}: was it restored from a backup?`,
  });
}

function finding(
  check: string,
  code: ErrorCode,
  ok: boolean,
  messages: { readonly yes: string; readonly no: string },
): Finding {
  return ok ? { check, ok, message: messages.yes } : { check, ok, message: messages.no, code };
}
