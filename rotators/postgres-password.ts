import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import { generatePassword } from "../core/password.ts";
import { defineRotator, type StepContext } from "../core/rotator.ts";
import { Secret } from "../core/secret.ts";
import { checkIdentity } from "./postgres/access.ts";
import { Admin, Credential, connectionFields, probeText, roleName } from "./postgres/config.ts";
import { administer, withSession } from "./postgres/connection.ts";
import { changePassword, type FencedRole } from "./postgres/password-fence.ts";
import { passwordMarks } from "./postgres/password-marks.ts";
import { preflightPassword } from "./postgres/password-preflight.ts";
import { changeThroughLocks, endSessionsOf, usersOf } from "./postgres/password-sessions.ts";
import { passwordProblem, scramVerifier } from "./postgres/scram.ts";
import { checkAddress, runProbe, tryLogin } from "./postgres/trial.ts";

const Config = z.strictObject({
  ...connectionFields,
  username: roleName.check(
    z.describe("The role whose password is changed. It may be the administering login itself."),
  ),
  create: z._default(
    z
      .boolean()
      .check(z.describe("Makes the role where it does not exist; its rights are somebody else's to give.")),
    false,
  ),
  probe: probeText,
});
type Config = z.infer<typeof Config>;
type Context = StepContext<Config, Admin>;

/**
 * One role and its one password: for the administering login itself, and for applications that can have only one user. From set to
 * finish the old value is refused already and the new one not yet current; readers try current, then pending, then current again.
 *
 * PostgreSQL leaves the sessions be that were opened with the old password. Retire ends them, told by when they began; it changes no
 * password, except where nothing has replaced the value: then the role is shut, unless it administers itself.
 */
export const rotator = defineRotator<Config, Credential, Admin>({
  type: "postgres-password",
  overlap: "cutover",
  config: Config,
  credential: Credential,
  account: ["username"],
  admin: Admin,
  needs: { network: ["target"] },

  async create(current, { config, random }) {
    const { username, host, port, database } = config;
    if (current !== undefined) {
      if (current.username !== username) {
        throw new KeyturnError(
          "credential-invalid",
          `the stored value is of role ${current.username}, the manifest says ${username}: a rotation does not change the role`,
        );
      }
      // What undo could not set back is not left in the first place.
      checkPassword(current.password, "the stored password");
    }
    return { username, password: generatePassword(random), host, port, database };
  },

  async set({ pending }, context) {
    const { username } = context.config;
    if (pending.username !== username) {
      throw new KeyturnError(
        "credential-invalid",
        `the value is of role ${pending.username}, the manifest says ${username}`,
      );
    }
    checkPassword(pending.password, "password");
    const verifier = await scramVerifier(pending.password, context.random);
    const session = await administer(context);
    await changeThroughLocks(session, fenced(pending, context), { verb: "set", verifier }, context);
  },

  async test({ pending }, context) {
    const { config } = context;
    checkAddress(pending, config);
    await withSession(pending, "credential", context, async (session) => {
      if (!session.authenticated) {
        throw new KeyturnError(
          "not-authenticated",
          `the server lets ${pending.username} in without asking for the password`,
        );
      }
      await checkIdentity(session, pending.username);
      if (config.probe !== undefined) await runProbe(session, config.probe);
    });
  },

  async retire(credential, context) {
    const session = await administer(context);
    const role = fenced(credential, context);
    await changeThroughLocks(session, role, { verb: "retire" }, context);
    return { sessionsEnded: await endSessionsOf(session, role, context), survives: [] };
  },

  refused: tryLogin,

  async usage(credential, context) {
    return usersOf(await administer(context), fenced(credential, context));
  },

  preflight: preflightPassword,

  async adopt(credential, context) {
    if (credential.username !== context.config.username) {
      throw new KeyturnError(
        "credential-invalid",
        `the value is of role ${credential.username}, the manifest says ${context.config.username}`,
      );
    }
    checkPassword(credential.password, "password");
    await this.test({ pending: credential, current: undefined }, context);
    const session = await administer(context);
    await changePassword(session, fenced(credential, context), { verb: "set", adopts: true });
  },

  async inspect(context) {
    return passwordMarks(await administer(context), fenced(context.config, context));
  },

  outline(current, { username }) {
    const set = `role ${username} gets a new password: the old one is refused from here on`;
    const ends = `the sessions of ${username} that were opened with the old password end`;
    const retire = current === undefined ? [] : [{ step: "retire", change: ends } as const];
    return { changes: [{ step: "set", change: set }, ...retire], connections: 4, refusedLogins: 1 };
  },

  async cut(login, context) {
    // Retire goes by the role's name and the fence; the value is for the proof, which nobody can give here.
    return this.retire({ username: login, password: new Secret("unknown") }, context);
  },
});

function fenced({ username }: { readonly username: string }, { config, admin, fence }: Context): FencedRole {
  return { username, admin: admin.username, creates: config.create, fence };
}

/** A password that clients prepare in different ways could be set, and then some of them would be refused. */
function checkPassword(password: Secret, what: string): void {
  const problem = passwordProblem(password);
  if (problem === undefined) return;
  throw new KeyturnError("credential-invalid", `${what}: ${problem}; give the role another one by hand`);
}
