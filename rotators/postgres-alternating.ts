import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import { generatePassword } from "../core/password.ts";
import { defineRotator, type StepContext } from "../core/rotator.ts";
import { checkIdentity, compareAccess } from "./postgres/access.ts";
import { Admin, Credential, connectionFields } from "./postgres/config.ts";
import { administer, openSession, type Session, withSession } from "./postgres/connection.ts";
import { sqlStateOf } from "./postgres/errors.ts";
import { changeLogin, type FencedLogin } from "./postgres/fence.ts";
import { literal, roleNameProblem, slotsOf } from "./postgres/names.ts";
import { preflight } from "./postgres/preflight.ts";
import { passwordProblem, scramVerifier } from "./postgres/scram.ts";
import { cutLogin, sessionsOf } from "./postgres/sessions.ts";

const Config = z.strictObject({
  ...connectionFields,
  /** The role that has the rights and owns the objects; nobody logs in as it. */
  owner: z.string().check(
    z.minLength(1, "must not be empty"),
    z.regex(/^\P{C}+$/u, "has odd characters"),
    z.check<string>((checked) => {
      const problem = roleNameProblem(checked.value);
      if (problem !== undefined)
        checked.issues.push({ code: "custom", input: checked.value, message: problem });
    }),
  ),
  /** SQL that the test runs as the fleet would; it must not fail. */
  probe: z.optional(z.string().check(z.minLength(1, "must not be empty"))),
});
type Config = z.infer<typeof Config>;
type Context = StepContext<Config, Admin>;

/**
 * PostgreSQL keeps one password for a login, so there are two logins, `<owner>_a` and `<owner>_b`, which act as one owner role and take
 * turns: both are good while the fleet changes over.
 */
export const rotator = defineRotator<Config, Credential, Admin>({
  type: "postgres-alternating",
  overlap: "both-live",
  config: Config,
  credential: Credential,
  admin: Admin,
  needs: { network: ["target"] },

  async create(current, { config, random }) {
    const [first, second] = slotsOf(config.owner);
    return {
      username: current?.username === first ? second : first,
      password: generatePassword(random),
      host: config.host,
      port: config.port,
      database: config.database,
    };
  },

  async set({ pending, current }, context) {
    const login = fenced(pending, context);
    if (pending.username === current?.username) {
      throw new KeyturnError(
        "credential-invalid",
        `${pending.username} is the login that is in use: the other one is to be set`,
      );
    }
    const problem = passwordProblem(pending.password);
    if (problem !== undefined) throw new KeyturnError("credential-invalid", `password: ${problem}`);
    const verifier = await scramVerifier(pending.password, context.random);
    const session = await administer(context);
    if (await tookEffect(session, login, verifier)) return;
    await cutLogin(session, login, "clear", context);
    await changeLogin(session, login, { verb: "set", verifier });
  },

  async test({ pending, current }, context) {
    const { config, log } = context;
    checkAddress(pending, config);
    await withSession(pending, "credential", context, async (session) => {
      if (!session.authenticated) {
        throw new KeyturnError(
          "not-authenticated",
          `the server lets ${pending.username} in without asking for the password`,
        );
      }
      await checkIdentity(session, pending.username, config.owner);
      if (current !== undefined && current.username !== pending.username) {
        const logins = { pending: pending.username, current: current.username, owner: config.owner };
        await compareAccess(session, logins, log);
      }
      if (config.probe !== undefined) await probe(session, config.probe);
    });
  },

  async retire(credential, context) {
    const session = await administer(context);
    return {
      sessionsEnded: await cutLogin(session, fenced(credential, context), "retire", context),
      survives: [],
    };
  },

  async refused(credential, context) {
    try {
      const session = await openSession(credential, "credential", context);
      await session.close();
      return "accepted";
    } catch (error) {
      const state = sqlStateOf(error);
      if (state === "28P01") return "refused";
      // Also said of an address or a database that the rules leave out: only the administrator can tell.
      if (state === "28000" && (await isShut(credential.username, context))) return "refused";
      return "unknown";
    }
  },

  async usage(credential, context) {
    return sessionsOf(await administer(context), credential.username);
  },

  preflight,
});

function fenced({ username }: Credential, { config, fence }: Context): FencedLogin {
  const slots = slotsOf(config.owner);
  if (!slots.includes(username)) {
    throw new KeyturnError("not-managed", `login ${username} is neither ${slots[0]} nor ${slots[1]}`);
  }
  return { owner: config.owner, username, fence };
}

/** False if somebody still uses what lived in the slot before: it has to be cleared first. */
async function tookEffect(session: Session, login: FencedLogin, verifier: string): Promise<boolean> {
  try {
    await changeLogin(session, login, { verb: "set", verifier });
    return true;
  } catch (error) {
    if (sqlStateOf(error) === "KT005") return false;
    throw error;
  }
}

/** Agents connect where the credential says, so that has to be where it was set. */
function checkAddress(pending: Credential, config: Config): void {
  for (const field of ["host", "port", "database"] as const) {
    if (pending[field] !== undefined && pending[field] !== config[field]) {
      throw new KeyturnError(
        "credential-invalid",
        `${field}: the stored value says ${pending[field]}, the manifest ${config[field]}`,
      );
    }
  }
}

/** What the fleet may not do is a difference in access, whatever PostgreSQL calls it; an outage is still an outage. */
async function probe(session: Session, text: string): Promise<void> {
  try {
    await session.query(text);
  } catch (error) {
    if (error instanceof KeyturnError && error.code === "target-rejected") {
      throw new KeyturnError("access-differs", `the probe failed: ${error.message}`, { cause: error.cause });
    }
    throw error;
  }
}

async function isShut(username: string, context: Context): Promise<boolean> {
  try {
    const session = await administer(context);
    const rows = await session.query<{ shut: boolean }>(
      `SELECT NOT rolcanlogin AS shut FROM pg_roles WHERE rolname = ${literal(username)}`,
    );
    return rows[0]?.shut === true;
  } catch {
    return false;
  }
}
