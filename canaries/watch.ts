import fs, { existsSync, readdirSync, renameSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join, resolve, sep } from "node:path";
import { isTelling } from "../core/fingerprint.ts";
import { Secret } from "../core/secret.ts";
import { note } from "./note.ts";
import { runFolder } from "./run-folder.ts";
import { windowBytes } from "./search.ts";

/**
 * Marks every secret value that this process reveals, so that it can be looked for everywhere when the run is over, and keeps the
 * temporary folders that would be gone by then. `suite` says whose values they are.
 */
export function watch(folder: string, suite: string): void {
  markRevealed(join(runFolder(folder).ledgers, `${process.pid}`), suite);
  keepTemporaryFolders(folder);
}

/** The same for a thread of a process that is watched: the folders are the process's. */
export function watchThread(folder: string, suite: string): void {
  markRevealed(join(runFolder(folder).ledgers, `${process.pid}`), suite);
}

/** Looks for values, too, that no process of ours revealed. */
export function markValues(folder: string, suite: string, values: readonly string[]): void {
  for (const value of values) mark(join(runFolder(folder).ledgers, `${process.pid}`), suite, value);
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/** What is a part of one of these tells nothing, however varied it is: it stands in every program that knows base 64. */
const alphabets = [
  `${letters}+/`,
  `${letters}-_`,
  "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
];

function mark(ledger: string, suite: string, value: string): void {
  if (value.length < windowBytes || !isTelling(value) || alphabets.some((one) => one.includes(value))) return;
  note(ledger, `${suite}\t${Buffer.from(value).toString("base64")}\n`);
}

/** Whose values are revealed now: files of several suites may run in one process, one after the other. */
let revealing: string | undefined;

/** Whoever wants to leak a value must reveal it first. */
function markRevealed(ledger: string, suite: string): void {
  const isWatched = revealing !== undefined;
  revealing = suite;
  if (isWatched) return;
  const known = new Set<string>();
  const reveal = Secret.prototype.reveal;
  Secret.prototype.reveal = function (this: Secret) {
    const value = reveal.call(this);
    const key = `${revealing}\t${value}`;
    if (!known.has(key)) {
      known.add(key);
      mark(ledger, revealing ?? suite, value);
    }
    return value;
  };
}

const once = Symbol.for("keyturn.canaries.kept");

/** Instead of being removed, a folder below the temporary one is put aside. */
export function keepTemporaryFolders(folder: string): void {
  if (Object.hasOwn(globalThis, once)) return;
  Reflect.set(globalThis, once, true);
  const { temporary, kept } = runFolder(folder);
  const { rmSync, promises } = fs;
  const rm = promises.rm;
  let count = 0;
  const putAside = (path: unknown, options: unknown): boolean => {
    const from = resolve(String(path));
    if (Object(options).recursive !== true || !from.startsWith(temporary + sep) || !existsSync(from))
      return false;
    const to = join(kept, `${process.pid}-${count}`);
    count += 1;
    try {
      renameSync(from, to);
      dropDatabases(to, (each) =>
        rmSync(each, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }),
      );
      return true;
    } catch {
      return !existsSync(from);
    }
  };
  fs.rmSync = (path, options) => {
    if (!putAside(path, options)) rmSync(path, options);
  };
  promises.rm = async (path, options) => {
    if (!putAside(path, options)) await rm(path, options);
  };
  syncBuiltinESMExports();
}

/** The pages of a database are too many to keep; the log of its server is what matters. */
function dropDatabases(folder: string, remove: (path: string) => void): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && existsSync(join(path, "PG_VERSION"))) remove(path);
  }
}
