import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { copyRunning, writeOwned } from "./postgres-backup.ts";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";

/** What a primary must allow in its pg_hba.conf, so that a replica can follow it. */
export const replicationRule = "hostssl replication all 127.0.0.1/32 scram-sha-256";

/** A server that follows another one, and is as far behind as it happens to be: nobody waits for it. */
export interface PostgresReplica extends PostgresServer {
  /** Resolves when it has all that the primary has written until now. */
  caughtUp(): Promise<void>;
  /** Follows no more: what the primary writes from now on never reaches it. */
  cutOff(): Promise<void>;
  /** Makes it a primary with what it has. */
  promote(): Promise<void>;
}

export async function startReplica(primary: PostgresServer): Promise<PostgresReplica> {
  const server = await startPostgres({
    from: { server: primary, copyTo: (directory) => copyData(primary, directory) },
  });
  const ask = async (on: PostgresServer, sql: string): Promise<string> => {
    const client = await on.client();
    try {
      const { rows } = await client.query<{ answer: string }>(sql);
      return String(rows[0]?.answer);
    } finally {
      await client.end();
    }
  };
  const until = async (sql: string) => {
    for (const giveUpAt = performance.now() + 20_000; (await ask(server, sql)) !== "true"; await sleep(50)) {
      if (performance.now() > giveUpAt) throw new Error(`the replica does not get there: ${sql}`);
    }
  };
  return {
    ...server,
    caughtUp: async () => {
      const written = await ask(primary, "SELECT pg_current_wal_insert_lsn() AS answer");
      await ask(primary, "SELECT pg_switch_wal() AS answer");
      await until(`SELECT pg_last_wal_replay_lsn() >= '${written}'::pg_lsn AS answer`);
    },
    cutOff: async () => {
      await ask(server, "ALTER SYSTEM SET primary_conninfo = ''");
      await ask(server, "SELECT pg_reload_conf() AS answer");
      await until("SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver) AS answer");
    },
    promote: async () => {
      await ask(server, "SELECT pg_promote() AS answer");
      await until("SELECT NOT pg_is_in_recovery() AS answer");
    },
  };
}

/** Copies the files of a server that goes on working, and says in the copy whom it follows: the rest comes by the stream. */
async function copyData(primary: PostgresServer, directory: string): Promise<void> {
  await copyRunning(primary, directory);
  await writeOwned(directory, "standby.signal", "");
  const { username, password } = primary.superuser;
  const conninfo = `host=localhost hostaddr=127.0.0.1 port=${primary.port} user=${username} password=${password} sslmode=verify-full sslcertmode=disable sslrootcert=${primary.caPath}`;
  await appendFile(join(directory, "postgresql.auto.conf"), `primary_conninfo = '${conninfo}'\n`);
}
