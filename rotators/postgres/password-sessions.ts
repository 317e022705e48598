import { KeyturnError } from "../../core/errors.ts";
import type { StepContext, Usage } from "../../core/rotator.ts";
import type { Admin, Connection } from "./config.ts";
import { applicationName, type Session } from "./connection.ts";
import { literal } from "./names.ts";
import {
  changePassword,
  type FencedRole,
  type PasswordChange,
  periodsOf,
  placeOf,
} from "./password-fence.ts";
import { endSessions, forcedTriesMax, isLocked, usageOf } from "./sessions.ts";

type Context = Pick<StepContext<Connection, Admin>, "config" | "clock" | "signal" | "log">;

/** One of the role's own sessions may hold a lock on it: then those that do are ended first, again and again. */
export async function changeThroughLocks(
  session: Session,
  role: FencedRole,
  change: PasswordChange,
  { log }: Context,
): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return await changePassword(session, role, { ...change, forced: tries > 0 });
    } catch (error) {
      if (!isLocked(error) || tries >= forcedTriesMax) throw error;
      log("warn", `${role.username} is locked by another session; those of its own that lock it are ended`);
    }
  }
}

/**
 * Ends the sessions that were opened with the value that the fence names, and no others; gives their number. One statement looks for
 * itself whether nobody has come by since: a worker that was stopped before it, and goes on when the value is back, ends nobody's.
 */
export async function endSessionsOf(session: Session, role: FencedRole, context: Context): Promise<number> {
  const terminate = `SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE ${await opened(session, role)} AND (
      SELECT shobj_description(oid, 'pg_authid') ~ ${literal(`\\[keyturn v1 [^\\]]* seen=${role.fence.epoch}\\]`)}
      FROM pg_roles WHERE rolname = ${literal(placeOf(role))})`;
  const look = async () => (await session.query<{ pid: number }>(terminate)).map(({ pid }) => pid);
  const ended = new Set<number>();
  await endSessions(look, role.username, ended, context);
  return ended.size;
}

/**
 * Who has sessions that were opened with the value that the fence names. Ours count for nobody: those of a login that administers itself last
 * for a step, which is done again when they are ended, and of a worker that hangs they may last for ever.
 */
export async function usersOf(session: Session, role: FencedRole): Promise<Usage> {
  const ours = `application_name = ${literal(applicationName)}`;
  return usageOf(session, `${await opened(session, role)} AND NOT ${ours}`);
}

/** The condition by which they are found among all sessions: no server says which password somebody came with, but when he came. */
async function opened(session: Session, role: FencedRole): Promise<string> {
  const [found] = await session.query<{ comment: string | null; hidden: boolean }>(
    `SELECT (SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = ${literal(placeOf(role))}) AS comment,
       EXISTS (SELECT FROM pg_stat_activity WHERE usename = ${literal(role.username)} AND backend_start IS NULL) AS hidden`,
  );
  if (found?.hidden === true) {
    throw new KeyturnError(
      "admin-lacks-rights",
      `${role.admin} does not see when sessions began: it lacks pg_read_all_stats`,
    );
  }
  const began = "(extract(epoch FROM backend_start) * 1000000)::bigint";
  const periods = periodsOf(found?.comment ?? "", role.fence.fingerprint);
  const within = periods.map(({ from, to }) => `${began} >= ${from} AND ${began} < ${to}`).join(" OR ");
  return `usename = ${literal(role.username)} AND pid <> pg_backend_pid() AND (${within})`;
}
