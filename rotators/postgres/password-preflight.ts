import type { Finding, StepContext } from "../../core/rotator.ts";
import type { Admin, Connection, Credential } from "./config.ts";
import type { Session } from "./connection.ts";
import { readFence } from "./fence.ts";
import { fenceRoleOf, literal, markerOf } from "./names.ts";
import { isSelf, placeOf } from "./password-fence.ts";
import { passwordProblem } from "./scram.ts";
import { administersRole, finding, lookAtServer } from "./server-findings.ts";

type Context = StepContext<Connection & { readonly username: string; readonly create: boolean }, Admin>;

interface Facts {
  /** The role; null: it does not exist. */
  readonly role: {
    readonly superuser: boolean;
    readonly login: boolean;
    readonly expired: boolean;
    readonly administered: boolean;
  } | null;
  /** The comment that has the fence. */
  readonly comment: string;
  /** The lock role and the fence role are free or ours. */
  readonly markers: boolean;
}

/** Looks at everything that a rotation will need, and changes nothing. `adopting` is what is about to be imported. */
export async function preflightPassword(
  context: Context,
  adopting?: Credential,
): Promise<readonly Finding[]> {
  const { config, admin } = context;
  const self = isSelf({ username: config.username, admin: admin.username });
  const { session, findings } = await lookAtServer(context, [config.username]);
  if (session === undefined) return findings;
  const facts = await factsOf(session, context);
  const lock = markerOf(config.username);
  const markers = self ? `${lock} and ${fenceRoleOf(config.username)}` : lock;
  return [
    // Its own sessions everybody may see and end.
    ...findings.filter(({ check }) => !(self && check === "sessions")),
    finding("marker", "not-managed", facts.markers, {
      yes: `${markers}: free or ours`,
      no: `${markers}: made by another administering login`,
    }),
    roleFinding(facts, context, { self, adopting: adopting !== undefined }),
    ...(adopting === undefined ? [] : [valueFinding(adopting, config.username)]),
  ];
}

/** Whether rotations could begin with it, and undo come back to it. */
function valueFinding({ username, password }: Credential, managed: string): Finding {
  const weakness = passwordProblem(password);
  const problem =
    username === managed
      ? weakness && `password: ${weakness}; give the role another one by hand`
      : `the value is of role ${username}, the manifest says ${managed}`;
  return finding("import", "credential-invalid", problem === undefined, {
    yes: `the value is of role ${managed}, and its password is the same to every client`,
    no: problem ?? "",
  });
}

async function factsOf(session: Session, { config, admin }: Context): Promise<Facts> {
  const { username } = config;
  const place = placeOf({ username, admin: admin.username });
  const markers = [markerOf(username), ...(place === username ? [] : [place])];
  const [row] = await session.query<{ facts: Facts }>(`SELECT json_build_object(
    'role', (SELECT json_build_object('superuser', rolsuper, 'login', rolcanlogin,
        'expired', coalesce(rolvaliduntil < clock_timestamp(), false), 'administered', ${administersRole(username)})
      FROM pg_roles WHERE rolname = ${literal(username)}),
    'comment', coalesce((SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = ${literal(place)}), ''),
    'markers', ${markers.map((marker) => `coalesce(${administersRole(marker)}, true)`).join(" AND ")}
    ) AS facts FROM pg_roles me WHERE me.rolname = session_user`);
  if (row === undefined) throw new Error("the administering login does not see itself");
  return row.facts;
}

function roleFinding(
  { role, comment }: Facts,
  { config, admin, fence }: Context,
  { self, adopting }: { readonly self: boolean; readonly adopting: boolean },
): Finding {
  const check = `role ${config.username}`;
  const no = (code: Finding["code"], message: string): Finding => ({ check, ok: false, message, code });
  if (role === null) {
    if (config.create && !adopting) return { check, ok: true, message: "does not exist yet" };
    return no("config-invalid", "does not exist: make it, or have it made by `create: true`");
  }
  if (role.superuser && !self) {
    return no("config-invalid", "is a superuser: name it as its own administering login");
  }
  if (!self && !role.administered) {
    return no("admin-lacks-rights", `${admin.username} lacks the ADMIN option on it`);
  }
  const mark = readFence(comment);
  if (role.expired) return no("login-refused", "was valid only until a time that is over");
  if (!role.login && mark?.verb !== "retire") return no("login-refused", "may not log in: it is NOLOGIN");
  if (mark === undefined) {
    if (adopting) return { check, ok: true, message: "is nobody else's" };
    return no("not-managed", "exists, and Keyturn has not made it: `keyturn import` its password");
  }
  if (mark.ref !== fence.ref || mark.installation !== fence.installation) {
    return no("not-managed", `belongs to secret ${mark.ref} of installation ${mark.installation}`);
  }
  return finding(check, "superseded", adopting || mark.seen <= fence.epoch, {
    yes: `is ours, and has seen epoch ${mark.seen}`,
    no: `has seen epoch ${mark.seen}, and the journal is at ${fence.epoch}: was it restored from a backup?`,
  });
}
