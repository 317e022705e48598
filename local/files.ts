import { chmodSync, closeSync, fsyncSync, openSync, statSync, writeSync } from "node:fs";
import { KeyturnError } from "../core/errors.ts";

/** Unlike `existsSync` it fails where it may not look: what one may not see is not absent. */
export function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

export function isAbsent(thrown: unknown): boolean {
  return codeOf(thrown) === "ENOENT" || codeOf(thrown) === "ENOTDIR";
}

/** The system's refusals in our words; everything else as it is. */
export function fileError(thrown: unknown): unknown {
  if (thrown instanceof KeyturnError || !(thrown instanceof Error) || !("syscall" in thrown)) return thrown;
  return new KeyturnError("store-unavailable", thrown.message, { cause: thrown });
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
}

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
