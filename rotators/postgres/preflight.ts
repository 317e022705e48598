import type { Finding, StepContext } from "../../core/rotator.ts";
import type { Admin, Connection } from "./config.ts";
import type { Session } from "./connection.ts";
import { readFence } from "./fence.ts";
import { adoptionFindings } from "./legacy.ts";
import { literal, markerOf, slotsOf } from "./names.ts";
import { administers, administersRole, finding, lookAtServer } from "./server-findings.ts";

type Context = StepContext<Connection & { readonly owner: string }, Admin>;

/**
 * Looks at everything that a rotation will need, and changes nothing. `adopting` is a login that is about to be imported.
 */
export async function preflight(
  context: Context,
  adopting?: { readonly username: string },
): Promise<readonly Finding[]> {
  const { config, admin, fence } = context;
  const { owner } = config;
  const { session, findings } = await lookAtServer(context, [...slotsOf(owner), `+${owner}`]);
  if (session === undefined) return findings;
  const login = adopting?.username;
  const facts = await factsOf(session, owner, admin.username);
  const adoption =
    login === undefined
      ? []
      : await adoptionFindings(session, { owner, login, admin: admin.username, fence });
  return [
    ...findings,
    ownerFinding(facts, context, login),
    finding("grant", "admin-lacks-rights", facts.grants, {
      yes: `${admin.username} may grant ${config.owner}`,
      no: `${admin.username} lacks the ADMIN option on ${config.owner}`,
    }),
    finding("marker", "not-managed", facts.marker, {
      yes: `the lock role ${markerOf(config.owner)} is free or ours`,
      no: `the lock role ${markerOf(config.owner)} was made by another administering login`,
    }),
    ...adoption,
    ...slotsOf(owner)
      .filter((slot) => slot !== login)
      .map((slot) => slotFinding(slot, facts, context)),
  ];
}

interface Facts {
  readonly grants: boolean;
  readonly marker: boolean;
  /** What is wrong with the owner role; null: it does not exist. */
  readonly owner: readonly string[] | null;
  readonly ownerComment: string | null;
  /** The slots that exist. */
  readonly slots: Readonly<Record<string, { readonly comment: string; readonly administered: boolean }>>;
}

async function factsOf(session: Session, owner: string, admin: string): Promise<Facts> {
  const [row] = await session.query<{ facts: Facts }>(`SELECT json_build_object(
    'grants', coalesce(${administersRole(owner)}, false),
    'marker', coalesce(${administersRole(markerOf(owner))}, true),
    'owner', (SELECT array_remove(ARRAY[CASE WHEN rolcanlogin THEN 'LOGIN' END, CASE WHEN rolsuper THEN 'SUPERUSER' END,
        CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolreplication THEN 'REPLICATION' END,
        CASE WHEN rolbypassrls THEN 'BYPASSRLS' END], NULL) FROM pg_roles WHERE rolname = ${literal(owner)}),
    'ownerComment', (SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = ${literal(owner)}),
    'slots', (SELECT coalesce(json_object_agg(s.rolname, json_build_object(
        'comment', coalesce(shobj_description(s.oid, 'pg_authid'), ''), 'administered', ${administers("s.oid")})), '{}')
      FROM pg_roles s WHERE s.rolname IN (${slotsOf(owner).map(literal).join(", ")}))
    ) AS facts FROM pg_roles me WHERE me.rolname = ${literal(admin)}`);
  if (row === undefined) throw new Error(`the administering login ${admin} does not see itself`);
  return row.facts;
}

/** The owner role may log in only where it is the login that was imported for this secret, or that is being imported. */
function ownerFinding(
  { owner, ownerComment }: Facts,
  { config, fence }: Context,
  adopting: string | undefined,
): Finding {
  const name = config.owner;
  const mark = readFence(ownerComment ?? "");
  const imported = mark?.verb === "set" && mark.ref === fence.ref && mark.installation === fence.installation;
  const wrong = owner?.filter((trait) => trait !== "LOGIN" || !(imported || adopting === name));
  const missing = "does not exist: the SQL that `keyturn init` prints makes it";
  const no = wrong === undefined ? missing : `must not be ${wrong.join(", ")}`;
  const hint = wrong?.includes("LOGIN") === true ? "; where a fleet logs in as it, `keyturn import` it" : "";
  const who = owner?.includes("LOGIN") === true ? "is the login that is imported" : "nobody logs in as it";
  const code = wrong === undefined ? "admin-lacks-rights" : "config-invalid";
  return finding("owner", code, wrong?.length === 0, {
    yes: `the owner role ${name} exists, and ${who}`,
    no: `the owner role ${name} ${no}${hint}`,
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
  if (mark.ref !== fence.ref || mark.installation !== fence.installation) {
    const no = `belongs to secret ${mark.ref} of installation ${mark.installation}`;
    return finding(check, "not-managed", false, { yes: "", no });
  }
  return finding(check, "superseded", mark.seen <= fence.epoch, {
    yes: `is ours, and has seen epoch ${mark.seen}`,
    no: `has seen epoch ${mark.seen}, and the journal is at ${fence.epoch}: was it restored from a backup?`,
  });
}
