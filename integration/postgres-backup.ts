import { existsSync, readdirSync } from "node:fs";
import { chown, copyFile, mkdir, rm, stat, writeFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import type { PostgresServer } from "./postgres-server.ts";

/** All that a server was, as its administrator keeps it. */
export interface PostgresBackup {
  /** Stops the server, puts every file back as it was, and starts it again. What was written since is gone. */
  restore(): Promise<void>;
}

/** Takes a backup of a server that goes on working. It is gone with the server. */
export async function backUp(server: PostgresServer): Promise<PostgresBackup> {
  const kept = `${server.dataDirectory}-yesterday`;
  await copyRunning(server, kept);
  // What was written while its files were copied: with it, and not without, they fit together.
  await copyFolder(join(server.dataDirectory, "pg_wal"), join(kept, "pg_wal"));
  return {
    restore: () =>
      server.restart(async () => {
        await rm(server.dataDirectory, { recursive: true });
        await copyFolder(kept, server.dataDirectory);
      }),
  };
}

/** Folders whose files belong to the server that runs, or are copied when the rest is. */
const emptyFolders = ["pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots"];
const ownFiles = ["postmaster.pid", "postmaster.opts"];

/** Copies the files of a server that goes on working, but for its log of writes, between the two calls by which it knows of it. */
export async function copyRunning(server: PostgresServer, directory: string): Promise<void> {
  const client = await server.client();
  try {
    await client.query("SELECT pg_backup_start('a copy', fast => true)");
    await copyFolder(
      server.dataDirectory,
      directory,
      (path) => ownFiles.includes(path) || emptyFolders.some((folder) => path.startsWith(folder + sep)),
    );
    const { rows } = await client.query<{ labelfile: string }>("SELECT labelfile FROM pg_backup_stop(false)");
    await writeOwned(directory, "backup_label", rows[0]?.labelfile ?? "");
  } finally {
    await client.end();
  }
}

/** With the owner that the files have, into a folder that need not be there. */
async function copyFolder(
  from: string,
  to: string,
  isLeftOut: (path: string) => boolean = () => false,
): Promise<void> {
  const { uid, gid } = await stat(from);
  await mkdir(to, { mode: 0o700, recursive: true });
  await chown(to, uid, gid);
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    const path = relative(from, join(entry.parentPath, entry.name));
    if (isLeftOut(path)) continue;
    const copy = join(to, path);
    if (entry.isDirectory()) await mkdir(copy, { mode: 0o700, recursive: true });
    else if (!(await copiedFile(join(from, path), copy))) continue;
    await chown(copy, uid, gid);
  }
}

/** False: the server has removed it meanwhile, and its log of writes says so. */
async function copiedFile(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to);
    return true;
  } catch (failure) {
    if (existsSync(from)) throw failure;
    return false;
  }
}

export async function writeOwned(directory: string, name: string, text: string): Promise<void> {
  const { uid, gid } = await stat(directory);
  const path = join(directory, name);
  await writeFile(path, text, { mode: 0o600 });
  await chown(path, uid, gid);
}
