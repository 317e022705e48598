import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import type { Rotator } from "../core/rotator.ts";
import { markerOf } from "../rotators/postgres/names.ts";
import { rotator as alternating } from "../rotators/postgres-alternating.ts";
import { rotator as password } from "../rotators/postgres-password.ts";
import type { PostgresServer } from "./postgres-server.ts";
import {
  createPasswordTarget,
  createTarget,
  type PasswordTarget,
  type PostgresTarget,
} from "./postgres-target.ts";

/** A credential type with a target of its own, and who may have sessions there because of it. */
export interface Subject {
  readonly rotator: Rotator;
  readonly target: PostgresTarget | PasswordTarget;
  /** The roles that agents log in as. */
  readonly logins: readonly string[];
  /** The role that is locked by whatever changes them. */
  readonly marker: string;
}

export const subjects: Readonly<Record<string, (server: PostgresServer) => Promise<Subject>>> = {
  "two logins that take turns": async (server) => {
    const target = await createTarget(server);
    return { rotator: alternating, target, logins: target.slots, marker: markerOf(target.owner) };
  },
  "one role with one password": async (server) => {
    const target = await createPasswordTarget(server);
    return { rotator: password, target, logins: [target.username], marker: markerOf(target.username) };
  },
};

function everybody({ target, logins }: Subject): readonly string[] {
  return [target.administrator.username, ...logins];
}

/** What the sessions of a subject still have locks on; a statement that is just being ended, or has come late, gets a moment. */
export function locksLeft(superuser: pg.Client, subject: Subject): Promise<readonly unknown[]> {
  return left(1_000, async () => {
    const { rows } = await superuser.query(
      `SELECT a.usename, a.application_name, l.locktype, l.mode, l.granted, a.state, a.query
       FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.usename = ANY ($1) AND l.locktype <> 'virtualxid'`,
      [everybody(subject)],
    );
    return rows;
  });
}

/** What is left of Keyturn's own sessions, by whichever login, once they had so long to go away. */
export function sessionsLeft(
  superuser: pg.Client,
  subject: Subject,
  patienceMs: number,
): Promise<readonly unknown[]> {
  return left(patienceMs, async () => {
    const { rows } = await superuser.query(
      `SELECT usename, state, query, query_start FROM pg_stat_activity
       WHERE usename = ANY ($1) AND application_name = 'keyturn'`,
      [everybody(subject)],
    );
    return rows;
  });
}

async function left<One>(patienceMs: number, look: () => Promise<readonly One[]>): Promise<readonly One[]> {
  const until = performance.now() + patienceMs;
  for (;;) {
    const found = await look();
    if (found.length === 0 || performance.now() > until) return found;
    await sleep(50);
  }
}
