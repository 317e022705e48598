import { KeyturnError } from "../../core/errors.ts";
import type { StepContext, Usage } from "../../core/rotator.ts";
import type { Admin, Connection } from "./config.ts";
import type { Session } from "./connection.ts";
import { sqlStateOf } from "./errors.ts";
import { changeLogin, type FencedLogin, shutPattern, type Verb } from "./fence.ts";
import { literal } from "./names.ts";

type Context = Pick<StepContext<Connection, Admin>, "config" | "clock" | "signal" | "log">;

/**
 * A login that was being let in when the door was shut shows up among the sessions only a moment later, so there is one more look
 * after the last one that found nobody. Where somebody was there, more may have been at the door, and it comes later.
 */
const lastLookMs = { quiet: 20, busy: 100 } as const;
const longestPauseMs = 250;
export const forcedTriesMax = 20;

/** Shuts a login and ends its sessions, all of them; gives their number. Superseded on the way, it ends nobody's any more. */
export async function cutLogin(
  session: Session,
  login: FencedLogin,
  verb: Exclude<Verb, "set">,
  context: Context,
): Promise<number> {
  const ended = new Set<number>();
  await shut(session, login, verb, ended, context);
  await endSessions(() => terminate(session, login), login.username, ended, context);
  return ended.size;
}

/** Whose sessions there are, without regard to how they were opened. */
export async function sessionsOf(session: Session, username: string): Promise<Usage> {
  return usageOf(session, `usename = ${literal(username)}`);
}

/** Which sessions there are that fulfil a condition. */
export async function usageOf(session: Session, condition: string): Promise<Usage> {
  const rows = await session.query<{ client: string }>(
    `SELECT format('%s%s in database %s, since %s', coalesce(host(client_addr), 'a local socket'),
       CASE WHEN application_name <> '' THEN format(' (%s)', application_name) END, datname,
       to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) AS client
     FROM pg_stat_activity WHERE ${condition} ORDER BY backend_start`,
  );
  return { sessions: rows.length, clients: rows.slice(0, 10).map((row) => row.client) };
}

/** One of the login's own sessions may hold a lock on its role: then they are ended first, again and again. */
async function shut(
  session: Session,
  login: FencedLogin,
  verb: Exclude<Verb, "set">,
  ended: Set<number>,
  context: Context,
): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      if (tries > 0) for (const pid of await pidsOf(session, login.username)) ended.add(pid);
      return await changeLogin(session, login, { verb, forced: tries > 0 });
    } catch (error) {
      if (!isLocked(error) || tries >= forcedTriesMax) throw error;
      context.log("warn", `${login.username} is locked by another session; its own are ended first`);
    }
  }
}

/** Ends sessions, as `terminate` does with those that it finds, until it finds no more. */
export async function endSessions(
  terminate: () => Promise<readonly number[]>,
  username: string,
  ended: Set<number>,
  context: Context,
): Promise<void> {
  const { config, clock } = context;
  const deadline = clock.now() + config.statementTimeoutMs;
  let pauseMs = 5;
  let looksWithoutAny = 0;
  while (looksWithoutAny < 2) {
    const pids = await terminate();
    for (const pid of pids) ended.add(pid);
    looksWithoutAny = pids.length === 0 ? looksWithoutAny + 1 : 0;
    if (pids.length > 0 && clock.now() > deadline) {
      throw new KeyturnError("target-busy", `${pids.length} sessions of ${username} do not end`);
    }
    if (looksWithoutAny === 1) await pause(ended.size === 0 ? lastLookMs.quiet : lastLookMs.busy, context);
    if (pids.length > 0) await pause(pauseMs, context);
    pauseMs = Math.min(pauseMs * 2, longestPauseMs);
  }
}

/**
 * Ends what sessions there are by one statement that looks for itself whether the login is still shut, and nobody has come by since:
 * a worker that was stopped before it, and goes on long after another has set a new value, ends nobody's session.
 */
async function terminate(session: Session, login: FencedLogin): Promise<readonly number[]> {
  const username = literal(login.username);
  const rows = await session.query<{ pid: number }>(
    `SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ${username} AND (
       SELECT shobj_description(oid, 'pg_authid') ~ ${literal(shutPattern(login.fence))}
       FROM pg_roles WHERE rolname = ${username})`,
  );
  return rows.map((row) => row.pid);
}

async function pidsOf(session: Session, username: string): Promise<readonly number[]> {
  const rows = await session.query<{ pid: number }>(
    `SELECT pid FROM pg_stat_activity WHERE usename = ${literal(username)}`,
  );
  return rows.map((row) => row.pid);
}

async function pause(ms: number, { clock, signal }: Context): Promise<void> {
  try {
    await clock.sleep(ms, signal);
  } catch {
    throw new KeyturnError("timeout", "the step's time ran out while sessions were being ended");
  }
}

/** By a lock, or by a change of the same role that met ours. */
export function isLocked(error: unknown): boolean {
  const state = sqlStateOf(error);
  return state === "55P03" || state === "XX000";
}
