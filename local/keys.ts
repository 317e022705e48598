import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  unlinkSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { KeyturnError } from "../core/errors.ts";
import { parseKey } from "../core/fingerprint.ts";
import { isAbsent, syncFolder, writeNewFile } from "./files.ts";
import { Keyring } from "./keyring.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where the key is: in the environment, else in the file that was given, else in the user's configuration. */
export interface KeyPlace {
  /** As a person would say it. */
  readonly name: string;
  /** Undefined: the environment. */
  readonly file: string | undefined;
}

const variable = "KEYTURN_KEY";

/** By default the key is never beside the data: whoever copies the one must not have the other. */
export function keyPlace(
  given: string | undefined,
  installation: string,
  environment: Environment,
): KeyPlace {
  if (environment[variable]) return { name: `the environment's ${variable}`, file: undefined };
  const file = given ?? join(configFolder(environment), "keyturn", `${installation}.key`);
  return { name: file, file };
}

/** Undefined where there is no key yet; a key that cannot be used throws. */
export function readKeyring(place: KeyPlace, environment: Environment): Keyring | undefined {
  if (place.file === undefined) return new Keyring(parseKeys(environment[variable] ?? "", place));
  const keys = readKeyFile(place.file);
  return keys === undefined ? undefined : new Keyring(keys);
}

/** The keys in a file that nobody else may read, the newest first; undefined where there is no file. */
export function readKeyFile(file: string): readonly Uint8Array[] | undefined {
  const text = readPrivateFile(file);
  return text === undefined ? undefined : parseKeys(text, { name: file, file });
}

/** Makes a key where there is none. Of two processes that do it at once both get the same one. */
export function createKey(file: string, comment: string): void {
  const folder = dirname(file);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const draft = `${file}.${randomBytes(6).toString("hex")}`;
  writeNewFile(draft, `# ${comment}\n${randomBytes(32).toString("base64")}\n`);
  try {
    // Unlike a rename, a link never replaces a key that is there.
    linkSync(draft, file);
  } catch (thrown) {
    if (!existsSync(file)) throw thrown;
  } finally {
    unlinkSync(draft);
  }
  syncFolder(folder);
}

function configFolder(environment: Environment): string {
  const configured = environment.XDG_CONFIG_HOME;
  if (configured !== undefined && isAbsolute(configured)) return configured;
  return join(environment.HOME || homedir(), ".config");
}

/** One key a line in base64, the newest first. Lines that begin with `#` are for people. */
function parseKeys(text: string, place: KeyPlace): readonly Uint8Array[] {
  const lines = text.split(/[\n,]/).map((line) => line.trim());
  const keys = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (keys.length === 0) throw unusable(place, "holds no key");
  return keys.map((key) => {
    const bytes = parseKey(key);
    if (bytes !== undefined) return bytes;
    throw unusable(place, "holds something that is not 32 bytes in base64");
  });
}

/** Looks at the rights of what it has opened, so that nothing can be put in its place meanwhile. */
function readPrivateFile(file: string): string | undefined {
  const descriptor = openIfThere(file);
  if (descriptor === undefined) return undefined;
  try {
    const { mode, uid } = fstatSync(descriptor);
    const rights = (mode & 0o777).toString(8);
    if ((mode & 0o077) !== 0) {
      throw unusable({ name: file, file }, `has mode ${rights}, so others may read it: chmod 600 it`);
    }
    const me = process.getuid?.();
    if (me !== undefined && uid !== me) {
      throw unusable({ name: file, file }, `belongs to user ${uid}, and this process runs as ${me}`);
    }
    return readFileSync(descriptor, "utf8");
  } finally {
    closeSync(descriptor);
  }
}

function openIfThere(file: string): number | undefined {
  try {
    return openSync(file, "r");
  } catch (cause) {
    if (isAbsent(cause)) return undefined;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new KeyturnError("key-missing", `the key cannot be read: ${why}`, { cause });
  }
}

function unusable(place: KeyPlace, problem: string): KeyturnError {
  return new KeyturnError("key-missing", `the key in ${place.name} ${problem}`);
}
