import { chmodSync, closeSync, fsyncSync, openSync, statSync, writeSync } from "node:fs";

/** Files restored from a backup often come with rights for others. What is not ours stays as it is. */
export function keepPrivate(path: string): void {
  const { mode, uid } = statSync(path);
  if ((mode & 0o077) !== 0 && uid === process.getuid?.()) chmodSync(path, mode & 0o700);
}

/** Makes a file that was not there, readable by its owner only and safe on the disk. */
export function writeNewFile(path: string, text: string): void {
  const file = openSync(path, "wx", 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** A name is only safe on the disk once its folder is. */
export function syncFolder(folder: string): void {
  const file = openSync(folder, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
