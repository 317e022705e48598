import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import { generatePassword } from "../core/password.ts";
import { type Change, defineRotator, type StepContext } from "../core/rotator.ts";
import { Secret } from "../core/secret.ts";
import { checkIdentity, compareAccess } from "./postgres/access.ts";
import { Admin, Credential, connectionFields, probeText, roleName } from "./postgres/config.ts";
import { administer, type Session, withSession } from "./postgres/connection.ts";
import { sqlStateOf } from "./postgres/errors.ts";
import { changeLogin, type FencedLogin } from "./postgres/fence.ts";
import { adoptionFindings } from "./postgres/legacy.ts";
import { marksOf } from "./postgres/marks.ts";
import { slotsOf } from "./postgres/names.ts";
import { preflight } from "./postgres/preflight.ts";
import { passwordProblem, scramVerifier } from "./postgres/scram.ts";
import { cutLogin, sessionsOf } from "./postgres/sessions.ts";
import { checkAddress, runProbe, tryLogin } from "./postgres/trial.ts";

const Config = z.strictObject({
  ...connectionFields,
  owner: roleName.check(
    z.describe("The role that has the rights and owns the objects. Its logins have its name with _a and _b."),
  ),
  probe: probeText,
});
type Config = z.infer<typeof Config>;
type Context = StepContext<Config, Admin>;

/**
 * PostgreSQL keeps one password for a login, so there are two logins, `<owner>_a` and `<owner>_b`, which act as one owner role and take
 * turns: both are good while the fleet changes over. A login that was there before may be imported; the first rotation moves the fleet off
 * it, and retires it: the owner role itself, or a member of it.
 */
export const rotator = defineRotator<Config, Credential, Admin>({
  type: "postgres-alternating",
  overlap: "both-live",
  config: Config,
  credential: Credential,
  account: ["username"],
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
    const login = { ...fenced(pending, context), predecessor: current?.username };
    // The same value again is a repair of a login that somebody else has changed.
    if (pending.username === current?.username && !pending.password.equals(current.password)) {
      throw new KeyturnError(
        "credential-invalid",
        `${pending.username} is the login that is in use: the other one is to be set`,
      );
    }
    const problem = passwordProblem(pending.password);
    // Of an imported login that is still alive the password stays as it is, whatever it is.
    const isSlot = slotsOf(context.config.owner).includes(pending.username);
    if (problem !== undefined && isSlot) {
      throw new KeyturnError("credential-invalid", `password: ${problem}`);
    }
    const verifier = problem === undefined ? await scramVerifier(pending.password, context.random) : "";
    const session = await administer(context);
    if (await tookEffect(session, login, verifier)) return;
    await cutLogin(session, login, "clear", context);
    await changeLogin(session, login, { verb: "set", verifier });
  },

  test: prove,

  async retire(credential, context) {
    const session = await administer(context);
    return {
      sessionsEnded: await cutLogin(session, fenced(credential, context), "retire", context),
      survives: [],
    };
  },

  refused: tryLogin,

  async usage(credential, context) {
    return sessionsOf(await administer(context), credential.username);
  },

  preflight,

  async adopt(credential, context) {
    const { config, admin, fence } = context;
    await prove({ pending: credential, current: undefined }, context);
    const session = await administer(context);
    const login = { owner: config.owner, login: credential.username, admin: admin.username, fence };
    const wrong = (await adoptionFindings(session, login)).find((finding) => !finding.ok);
    if (wrong !== undefined) {
      throw new KeyturnError(wrong.code ?? "target-rejected", `${wrong.check}: ${wrong.message}`);
    }
    await changeLogin(session, fenced(credential, context), { verb: "set", adopts: true });
  },

  async inspect(context) {
    return marksOf(await administer(context), context.config.owner, context.fence);
  },

  outline(current, { owner }) {
    const [first, second] = slotsOf(owner);
    const next = current?.username === first ? second : first;
    const set = { step: "set", change: `login ${next} gets a new password, and acts as ${owner}` } as const;
    const shut = `login ${current?.username} becomes NOLOGIN without a password, and its sessions end`;
    const retire = current === undefined ? [] : [{ step: "retire", change: shut } as const];
    return { changes: [set, ...retire], connections: 4, refusedLogins: 1 };
  },

  async cut(login, context) {
    // Retire goes by the login's name and the fence; the value is for the proof, which nobody can give here.
    return this.retire({ username: login, password: new Secret("unknown") }, context);
  },
});

/** Logs in as the fleet does, and does what it does. */
async function prove({ pending, current }: Change<Credential>, context: Context): Promise<void> {
  const { config, log } = context;
  checkAddress(pending, config);
  await withSession(pending, "credential", context, async (session) => {
    if (!session.authenticated) {
      throw new KeyturnError(
        "not-authenticated",
        `the server lets ${pending.username} in without asking for the password`,
      );
    }
    // A login that was imported may act as itself, as it always has.
    const isSlot = slotsOf(config.owner).includes(pending.username);
    const roles = isSlot ? [config.owner] : [config.owner, pending.username];
    await checkIdentity(session, pending.username, roles);
    if (current !== undefined && current.username !== pending.username) {
      const logins = { pending: pending.username, current: current.username, owner: config.owner };
      await compareAccess(session, logins, log);
    }
    if (config.probe !== undefined) await runProbe(session, config.probe);
  });
}

/** Whose login it is, if it is none of the two slots, only the fence can tell: by the mark of an import. */
function fenced({ username }: Credential, { config, fence }: Context): FencedLogin {
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
