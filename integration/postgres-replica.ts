import { existsSync, readdirSync } from "node:fs";
import { appendFile, chown, copyFile, mkdir, stat, writeFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
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

/** Folders whose files belong to the server that runs, or come by the stream. */
const emptyFolders = ["pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots"];
const ownFiles = ["postmaster.pid", "postmaster.opts"];

/** Copies the files of a server that goes on working, between the two calls by which it knows of it, and says in the copy whom it follows. */
async function copyData(primary: PostgresServer, directory: string): Promise<void> {
  const client = await primary.client();
  try {
    await client.query("SELECT pg_backup_start('replica', fast => true)");
    await copyFolder(primary.dataDirectory, directory);
    const { rows } = await client.query<{ labelfile: string }>("SELECT labelfile FROM pg_backup_stop(false)");
    await writeOwned(directory, "backup_label", rows[0]?.labelfile ?? "");
  } finally {
    await client.end();
  }
  await writeOwned(directory, "standby.signal", "");
  const { username, password } = primary.superuser;
  const conninfo = `host=localhost hostaddr=127.0.0.1 port=${primary.port} user=${username} password=${password} sslmode=verify-full sslcertmode=disable sslrootcert=${primary.caPath}`;
  await appendFile(join(directory, "postgresql.auto.conf"), `primary_conninfo = '${conninfo}'\n`);
}

async function copyFolder(from: string, to: string): Promise<void> {
  const { uid, gid } = await stat(from);
  await mkdir(to, { mode: 0o700 });
  await chown(to, uid, gid);
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    const path = relative(from, join(entry.parentPath, entry.name));
    if (ownFiles.includes(path) || emptyFolders.some((folder) => path.startsWith(folder + sep))) continue;
    const copy = join(to, path);
    if (entry.isDirectory()) await mkdir(copy, { mode: 0o700 });
    else if (!(await copiedFile(join(from, path), copy))) continue;
    await chown(copy, uid, gid);
  }
}

/** False: the server has removed it meanwhile, and the stream says so. */
async function copiedFile(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to);
    return true;
  } catch (failure) {
    if (existsSync(from)) throw failure;
    return false;
  }
}

async function writeOwned(directory: string, name: string, text: string): Promise<void> {
  const { uid, gid } = await stat(directory);
  const path = join(directory, name);
  await writeFile(path, text, { mode: 0o600 });
  await chown(path, uid, gid);
}
