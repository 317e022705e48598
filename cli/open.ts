import { KeyturnError } from "../core/errors.ts";
import type { AuditKeys, AuditRoots, Log, ManagedSecret, Ports } from "../core/ports.ts";
import { type LocalStore, openLocal } from "../local/open.ts";
import { loadManifest } from "../manifest/load.ts";
import type {
  AwsStoreEntry,
  LocalStoreEntry,
  Manifest,
  ManifestSecret,
  StoreEntry,
} from "../manifest/manifest.ts";
import { loadRotator } from "../rotators/registry.ts";
import { credentialTypes } from "./credential-types.ts";
import type { ImportThere } from "./import-there.ts";

/** One store of the manifest, open. */
export interface OpenStore {
  readonly name: string;
  /** Where it is, as a person would say it. */
  readonly place: string;
  readonly ports: Ports;
  readonly auditRoots: AuditRoots;
  readonly auditKeys: AuditKeys;
  /** Where the key is that signs the roots, as a person would say it. */
  readonly auditKeyPlace: string;
  /** Has the secrets looked at by whoever works on the store. */
  readonly wake: (refs: readonly string[]) => Promise<void>;
  /** The tags by which functions may touch the store's secrets; undefined where rights go by names, or where there are none. */
  readonly tags: StoreTags | undefined;
  /** What a store on this machine has besides, and where commands work on secrets themselves; undefined where functions do. */
  readonly local: LocalStore | undefined;
  /** Has what is in the store imported there; undefined where commands do it themselves. */
  readonly importThere: ImportThere | undefined;
  readonly close: () => Promise<void>;
}

/** Tags on secrets that a cloud's rights go by. */
export interface StoreTags {
  /** What secrets lack. */
  lacking(): Promise<readonly { readonly ref: string; readonly tags: Readonly<Record<string, string>> }[]>;
  /** Sets them on one. */
  set(one: { readonly ref: string; readonly tags: Readonly<Record<string, string>> }): Promise<void>;
}

/** A store on this machine. */
export type LocalOpenStore = OpenStore & { readonly local: LocalStore };

export interface OpenSecret extends OpenStore {
  readonly storeName: string;
  readonly managed: ManagedSecret;
}

export interface OpenManifest extends AsyncDisposable {
  /** As it was last read. */
  readonly manifest: Manifest;
  /** Reads it anew; every port that was given out before knows the new one. Throws, and keeps the old one, where the new one cannot be used. */
  reload(): void;
  secret(ref: string): Promise<OpenSecret>;
  store(name: string): Promise<OpenStore>;
  stores(): Promise<readonly OpenStore[]>;
}

/** Reads the manifest; opens a store when it is first asked for, and closes what it opened. */
export async function openManifest(path: string, log: Log = quiet): Promise<OpenManifest> {
  const facts = await credentialTypes();
  let manifest = loadManifest(path, { facts });
  const opened = new Map<string, OpenStore>();
  const store = async (name: string): Promise<OpenStore> => {
    const entry = manifest.stores.get(name);
    if (entry === undefined) throw new KeyturnError("input-invalid", `the manifest has no store ${name}`);
    const known = opened.get(name) ?? (await openStore(() => manifest, entry, log));
    opened.set(name, known);
    return known;
  };
  return {
    get manifest() {
      return manifest;
    },
    reload: () => {
      const next = loadManifest(path, { facts });
      for (const name of opened.keys()) assertSamePlace(manifest.stores.get(name), next.stores.get(name));
      manifest = next;
    },
    store,
    stores: async () => Promise.all([...manifest.stores.keys()].map(store)),
    secret: async (ref) => {
      const managed = requireSecret(manifest, ref);
      const found = await store(managed.store);
      return { ...found, storeName: managed.store, managed };
    },
    [Symbol.asyncDispose]: async () => {
      for (const { close } of opened.values()) await close();
    },
  };
}

/** The manifest and one of its secrets, for commands that are about one. */
export async function openSecret(path: string, ref: string): Promise<OpenSecret & AsyncDisposable> {
  const opened = await openManifest(path);
  try {
    const secret = await opened.secret(ref);
    return { ...secret, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() };
  } catch (thrown) {
    await opened[Symbol.asyncDispose]();
    throw thrown;
  }
}

/** Throws `input-invalid` for what the manifest does not rotate. */
export function requireSecret(manifest: Manifest, ref: string): ManifestSecret {
  const managed = manifest.secrets.get(ref);
  if (managed !== undefined) return managed;
  if (manifest.held.has(ref)) {
    throw new KeyturnError(
      "input-invalid",
      `${ref} is only held, not rotated: change it at its target by hand, and store the new value by \`keyturn put\``,
    );
  }
  const known = manifest.secrets.refs();
  const list = known.length === 0 ? "it has none" : `it has ${known.slice(0, 10).join(", ")}`;
  throw new KeyturnError("input-invalid", `${manifest.path} has no secret ${ref}; ${list}`);
}

async function openStore(manifest: () => Manifest, entry: StoreEntry, log: Log): Promise<OpenStore> {
  const mine = (ref: string): ManifestSecret | undefined => {
    const managed = manifest().secrets.get(ref);
    return managed?.store === entry.name ? managed : undefined;
  };
  const secrets: Ports["secrets"] = {
    get: mine,
    refs: () =>
      manifest()
        .secrets.refs()
        .filter((ref) => mine(ref) !== undefined),
  };
  const common = { log, secrets, rotators: { load: loadRotator } };
  if (entry.kind === "local") return openHere(entry, common);
  const accountOf = (ref: string) => (mine(ref) ?? manifest().held.get(ref))?.account ?? entry.account;
  return openDeployed(entry, accountOf, common);
}

type Common = Pick<Ports, "log" | "secrets" | "rotators">;

async function openHere({ name, path, key }: LocalStoreEntry, common: Common): Promise<OpenStore> {
  const local = await openLocal({ path, key });
  const { installation, store, journal, bus, audit, clock, random, fingerprinter } = local;
  return {
    name,
    place: `local: ${path}`,
    ports: { installation, store, journal, bus, audit, clock, random, fingerprinter, ...common },
    auditRoots: local.auditRoots,
    auditKeys: local.auditKeys,
    auditKeyPlace: local.auditKeyFile,
    wake: () => local.bus.wake(),
    tags: undefined,
    local,
    importThere: undefined,
    close: () => local.close(),
  };
}

async function openDeployed(
  entry: AwsStoreEntry,
  accountOf: (ref: string) => string,
  common: Common,
): Promise<OpenStore> {
  const { openAws } = await import("./aws.ts").catch(lacksSdk);
  const deployed = await openAws(
    entry,
    accountOf,
    common.log,
    (text) => void process.stderr.write(`${text}\n`),
  );
  const { auditRoots, auditKeys, auditKeyPlace, untagged } = deployed;
  const secrets = () => common.secrets.refs().flatMap((ref) => common.secrets.get(ref) ?? []);
  return {
    name: entry.name,
    place: `AWS: ${entry.account}, ${entry.region}`,
    ports: { ...deployed.parts, ...common },
    auditRoots,
    auditKeys,
    auditKeyPlace,
    wake: async (refs) => {
      const known = refs.flatMap((ref) => common.secrets.get(ref) ?? []);
      await Promise.all(known.map(({ ref, type }) => deployed.order(ref, type)));
    },
    tags: untagged && { lacking: () => untagged(secrets()), set: deployed.tag },
    local: undefined,
    importThere: deployed.importThere,
    close: async () => deployed.close(),
  };
}

/** What a cloud needs is installed by whoever uses it. */
function lacksSdk(thrown: unknown): never {
  const missing = /Cannot find package '(?<name>[^']+)'/.exec(String(thrown))?.groups?.name;
  if (missing === undefined) throw thrown;
  throw new KeyturnError(
    "config-invalid",
    `a store on AWS needs the package ${missing}: install it beside keyturn`,
  );
}

/** How what has begun goes on when the command has ended. */
export function goesOn({ local }: Pick<OpenStore, "local">): string {
  return local === undefined ? "by itself" : "while `keyturn serve` runs";
}

/** What a store on this machine has. Elsewhere `instead` says what to do. */
export function localOf({ name, place, local }: OpenStore, instead: string): LocalStore {
  if (local !== undefined) return local;
  throw new KeyturnError("input-invalid", `the store ${name} is not on this machine (${place}): ${instead}`);
}

/** The command works on stores of this machine: those of a cloud are worked on by what is deployed there. */
export function assertLocal(entry: StoreEntry): asserts entry is LocalStoreEntry {
  if (entry.kind === "local") return;
  throw new KeyturnError(
    "input-invalid",
    `the store ${entry.name} is on AWS (${entry.account}, ${entry.region}), and this command works on local stores`,
  );
}

/** A store that is open stays where it is. */
function assertSamePlace(now: StoreEntry | undefined, next: StoreEntry | undefined): void {
  const placeOf = (entry: StoreEntry | undefined) => entry && JSON.stringify({ ...entry, quota: undefined });
  if (placeOf(now) === placeOf(next)) return;
  throw new KeyturnError(
    "manifest-invalid",
    `the store ${now?.name} is gone from the manifest, or has another place or key: restart what uses it`,
  );
}

const quiet: Log = () => undefined;
