import { mkdirSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { KeyturnError } from "../core/errors.ts";
import { newId } from "../core/identifier.ts";
import type {
  AuditKeys,
  AuditLog,
  AuditRoots,
  Clock,
  Fingerprinter,
  Journal,
  Random,
  SecretStore,
} from "../core/ports.ts";
import { auditKeyFile, localAuditKeys } from "./audit-keys.ts";
import { openAuditLog } from "./audit-log.ts";
import { openAuditRoots } from "./audit-roots.ts";
import { brokenAudit, brokenBus, brokenRoots, brokenTokens } from "./broken.ts";
import { systemClock } from "./clock.ts";
import type { Database } from "./database.ts";
import { type LocalEventBus, openEventBus } from "./event-bus.ts";
import { exists, fileError, keepPrivate, writeNewFile } from "./files.ts";
import { openJournal } from "./journal.ts";
import type { Keyring } from "./keyring.ts";
import { createKey, type Environment, type KeyPlace, keyPlace, readKeyring } from "./keys.ts";
import { systemRandom } from "./random.ts";
import { knownKeyIds, localSecretStore, openSecretsFile, rememberKey } from "./secret-store.ts";
import { openTokens, type Tokens } from "./tokens.ts";
import { Waker } from "./wake.ts";

export interface LocalOptions {
  /** The folder. Several processes may have it open at once. */
  readonly path: string;
  /** The file of the key; without it, a file in the user's configuration. The environment's KEYTURN_KEY goes before both. */
  readonly key?: string | undefined;
  /** Makes what is missing of a folder that was never ready: `keyturn init`. Twice is once. */
  readonly create?: boolean;
  readonly clock?: Clock;
  readonly environment?: Environment;
}

/** A folder with everything that Keyturn keeps. */
export interface LocalStore {
  readonly installation: string;
  readonly store: SecretStore;
  readonly journal: Journal;
  readonly bus: LocalEventBus;
  readonly audit: AuditLog;
  readonly auditRoots: AuditRoots;
  readonly auditKeys: AuditKeys;
  /** Where the key is that signs the roots. */
  readonly auditKeyFile: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly fingerprinter: Fingerprinter;
  readonly tokens: Tokens;
  /** Where agents find the process that serves. */
  readonly socketPath: string;
  /** Where the key is, as a person would say it. */
  readonly keyPlace: string;
  /** Twice is once. */
  close(): Promise<void>;
}

export async function openLocal(options: LocalOptions): Promise<LocalStore> {
  try {
    return await openFolder(options);
  } catch (thrown) {
    throw fileError(thrown);
  }
}

async function openFolder(options: LocalOptions): Promise<LocalStore> {
  const { clock = systemClock, environment = process.env, create = false } = options;
  const path = resolve(options.path);
  const file = (name: string): string => join(path, name);
  if (create) makeFolder(path);
  else if (!exists(file(secretsName)) && !exists(file(journalName))) throw notAFolder(path);
  keepPrivate(path);

  using opened = new DisposableStack();
  // It is made before the journal: where there is a journal, it was there, and must not be made anew.
  const secrets = opened.use(await openSecretsFile(file(secretsName), create && !exists(file(journalName))));
  const { installation, isReady } = await identity(secrets, create);
  if (!isReady && !create) throw notAFolder(path);
  const place = keyPlace(options.key, installation, environment);
  const keyring = await unlock(secrets, place, { environment, create, path });

  const isNew = !isReady;
  const socketPath = file("agents.sock");
  const waker = new Waker(socketPath);
  const journal = opened.use(await openJournal(file(journalName), isNew));
  // What is written and told besides may be broken, and the rest still has to work: an emergency above all.
  const bus = opened.use(
    await openEventBus(file("events.db"), isNew, { clock, waker }).catch(brokenBus(waker)),
  );
  const audit = opened.use(await openAuditLog(file("audit"), isNew).catch(brokenAudit));
  const auditRoots = opened.use(await openAuditRoots(file("audit")).catch(brokenRoots));
  const signingKey = auditKeyFile(options.key, installation, environment);
  const tokens = opened.use(
    await openTokens(file("tokens.db"), isNew, { clock, random: systemRandom }).catch(brokenTokens),
  );
  if (isNew) await secrets.write(() => remember(secrets, "ready", "yes"));

  const owned = opened.move();
  return {
    installation,
    store: localSecretStore(secrets, keyring, clock),
    journal,
    bus,
    audit,
    auditRoots,
    auditKeys: localAuditKeys(
      signingKey,
      auditRoots,
      `Signs the roots of the audit of ${path}. Keep a copy elsewhere.`,
    ),
    auditKeyFile: signingKey,
    clock,
    random: systemRandom,
    fingerprinter: keyring.fingerprinter,
    tokens,
    socketPath,
    keyPlace: place.name,
    close: async () => {
      await waker.settled();
      owned.dispose();
    },
  };
}

const secretsName = "secrets.db";
const journalName = "journal.db";

/** A folder of its own: its rights are made narrow, and nothing of it belongs into a repository. */
function makeFolder(path: string): void {
  if (mkdirSync(path, { recursive: true, mode: 0o700 }) !== undefined) {
    writeNewFile(join(path, ".gitignore"), "*\n");
    return;
  }
  const names = readdirSync(path);
  const isStore = names.includes(secretsName) || names.includes(journalName);
  if (!isStore && names.some((name) => name !== ".gitignore")) {
    throw new KeyturnError(
      "input-invalid",
      `${path} has other files in it; name a folder that is new or empty`,
    );
  }
}

/** The installation's name goes to the targets, so it must outlive an `init` that was killed and begun again. */
async function identity(
  secrets: Database,
  create: boolean,
): Promise<{ readonly installation: string; readonly isReady: boolean }> {
  if (create) await secrets.write(() => remember(secrets, "installation", newId(systemRandom)));
  const meta = await secrets.read(() => secrets.rows("SELECT name, value FROM meta"));
  const values = new Map(meta.map((row) => [row.text("name"), row.text("value")]));
  return { installation: values.get("installation") ?? "", isReady: values.has("ready") };
}

/** The first word counts. */
function remember(secrets: Database, name: string, value: string): void {
  secrets.run("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", name, value);
}

/** Refuses a key that is not this store's before anything is changed; makes one only where nothing was ever sealed by another. */
async function unlock(
  secrets: Database,
  place: KeyPlace,
  { environment, create, path }: { environment: Environment; create: boolean; path: string },
): Promise<Keyring> {
  const needed = await secrets.read(() => knownKeyIds(secrets));
  const isFresh = create && needed.length === 0;
  if (isFresh && place.file !== undefined && !exists(place.file)) {
    createKey(place.file, `The key of ${path}. Keep a copy elsewhere: without it nothing there can be read.`);
  }
  const keyring = readKeyring(place, environment);
  if (keyring === undefined) {
    throw new KeyturnError(
      "key-missing",
      `there is no key in ${place.name}; restore it from your copy, or give it as KEYTURN_KEY`,
    );
  }
  if (isFresh) return secrets.write(() => takeFirstKey(secrets, keyring, place));
  checkKeys(needed, keyring, place);
  return keyring;
}

/** Another process may have been faster. */
function takeFirstKey(secrets: Database, keyring: Keyring, place: KeyPlace): Keyring {
  const known = knownKeyIds(secrets);
  if (known.length > 0) checkKeys(known, keyring, place);
  else rememberKey(secrets, keyring.newestId);
  return keyring;
}

function checkKeys(needed: readonly string[], keyring: Keyring, place: KeyPlace): void {
  const missing = needed.filter((id) => !keyring.ids.includes(id));
  if (missing.length === 0) return;
  throw new KeyturnError(
    "key-missing",
    `this store was made with another key: it needs ${missing.join(" and ")}, and ${place.name} has ${keyring.ids.join(", ")}`,
  );
}

function notAFolder(path: string): KeyturnError {
  return new KeyturnError(
    "input-invalid",
    `${path} is no Keyturn store, or not a complete one; run \`keyturn init\``,
  );
}
