import { asKeyturnError, KeyturnError } from "./errors.ts";
import { newId } from "./identifier.ts";
import type { ManagedSecret, Ports } from "./ports.ts";
import { Redactor, redactingLog } from "./redact.ts";
import type { Mark, RawContext, Residue, Rotator } from "./rotator.ts";
import type { Secret } from "./secret.ts";
import { Session } from "./session.ts";

/** What is needed to reach a target while store and journal are down. */
export interface DirectAccess {
  readonly managed: ManagedSecret;
  readonly rotator: Rotator;
  /** The operator's own administering login. */
  readonly admin: Secret;
  readonly ports: Pick<Ports, "clock" | "random" | "log">;
}

export interface CutLogin extends Residue {
  readonly login: string;
  readonly installation: string;
}

/** The journal may be ahead of the target, by requests that have not got there yet: so far no journal is. */
const cutAheadBy = 1_000;

/** The logins of this secret that the target lets in, by its own marks: reads only. */
export function liveLogins(access: DirectAccess): Promise<readonly Mark[]> {
  return directly(access, (context) => liveMarks(access, context));
}

/**
 * Shuts logins of a secret at the target with nothing but an administering login: no store, no journal, no value. The fence there keeps
 * that it was done on purpose, at an epoch far above all that it has seen, so that no worker that comes back lets them in again, and the
 * doctor makes a successor.
 */
export function cutDirectly(access: DirectAccess, logins: readonly string[]): Promise<readonly CutLogin[]> {
  const { rotator, ports } = access;
  const { cut } = rotator;
  if (cut === undefined) {
    throw new KeyturnError("request-refused", `type ${rotator.type} cannot be cut without its store`);
  }
  return directly(access, async (context) => {
    const marks = (await liveMarks(access, context)).filter(({ login }) => logins.includes(login));
    const done: CutLogin[] = [];
    for (const { login, installation, ref, seen, fingerprint } of marks) {
      const rotationId = `direct-${newId(ports.random)}`;
      const fence = { installation, ref, rotationId, epoch: seen + cutAheadBy, fingerprint };
      done.push({ login, installation, ...(await cut(login, { ...context, fence })) });
    }
    const alive = (await liveMarks(access, context)).filter(({ login }) => logins.includes(login));
    if (alive.length === 0) return done;
    throw new KeyturnError(
      "not-proven",
      `the target still lets in ${alive.map(({ login }) => login).join(", ")}`,
    );
  });
}

async function liveMarks({ rotator, managed }: DirectAccess, context: RawContext): Promise<readonly Mark[]> {
  const marks = await rotator.inspect(context);
  if (marks === undefined) {
    throw new KeyturnError("request-refused", `type ${rotator.type} keeps no marks at its target`);
  }
  return marks.filter(({ ref, accepts }) => accepts && ref === managed.ref);
}

async function directly<Result>(
  { managed, rotator, admin, ports }: DirectAccess,
  work: (context: RawContext) => Promise<Result>,
): Promise<Result> {
  rotator.checkConfig(managed.config);
  rotator.checkAdmin(admin);
  const redactor = new Redactor();
  redactor.add(admin);
  for (const field of Object.values(rotator.adminFields(admin))) redactor.add(field);
  const session = new Session();
  const context: RawContext = {
    config: managed.config,
    admin,
    fence: { installation: "", ref: managed.ref, rotationId: "direct", epoch: 0, fingerprint: "" },
    clock: ports.clock,
    random: ports.random,
    log: redactingLog(ports.log, redactor),
    signal: session.signal,
    defer: session.defer,
  };
  try {
    return await session.within(ports.clock, managed.policy.stepDeadlineMs, "cutting directly", () =>
      work(context),
    );
  } catch (thrown) {
    await session.close(thrown);
    const { code, message } = asKeyturnError(thrown);
    throw new KeyturnError(code, redactor.redact(message));
  } finally {
    await session.close();
  }
}
