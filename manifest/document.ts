import {
  chmodSync,
  existsSync,
  linkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { type Document, isMap, isNode, Pair, parseDocument, type Scalar, YAMLMap } from "yaml";
import { KeyturnError } from "../core/errors.ts";
import { heldType } from "./check-secrets.ts";
import { loadManifest } from "./load.ts";
import { shortPath } from "./problem.ts";
import { readText } from "./read-text.ts";

/** A secret that is to be put under Keyturn, and its administering login. */
export interface NewSecret {
  /** The manifest. */
  readonly path: string;
  readonly ref: string;
  readonly type: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Declared as held where the manifest does not have it yet. */
  readonly adminRef: string;
  readonly fleets: readonly string[];
  /** Default: every 30 days. */
  readonly every?: string | undefined;
  /** Default: the only one that there is. */
  readonly store?: string | undefined;
}

/** Writes a keyturn.yaml that explains itself. Refuses a path at which something is, so that nothing is ever overwritten. */
export function createManifest(secret: NewSecret): void {
  const path = resolve(secret.path);
  const store = secret.store ?? "here";
  const document = parseDocument(`# yaml-language-server: $schema=${schemaPath(dirname(path))}\n\n${head}`);
  section(document, "stores").add(
    entry(document, store, { local: { path: ".keyturn" } }, { flow: true, comment: storeComment }),
  );
  const secrets = section(document, "secrets");
  secrets.add(heldEntry(document, secret.adminRef, store, { comment: heldComment }));
  secrets.add(secretEntry(document, secret, store, fieldComments));

  const text = render(document);
  check(path, text);
  const draft = writeDraft(path, text);
  try {
    // A link, unlike a rename, does not replace what is there.
    linkSync(draft, path);
  } catch (error) {
    if (Object(error).code !== "EEXIST") throw error;
    throw new KeyturnError("input-invalid", `${shortPath(path)} is there already`, { cause: error });
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Adds a secret to a manifest and leaves the rest of it as it is, comments included. */
export function addToManifest(secret: NewSecret): void {
  const { secrets: rotated, held, stores } = loadManifest(secret.path);
  // Whoever has a link there keeps it.
  const path = realpathSync(secret.path);
  if (rotated.get(secret.ref) !== undefined || held.has(secret.ref)) {
    throw new KeyturnError("input-invalid", `${secret.ref} is in ${shortPath(path)} already`);
  }
  const document = parseDocument(readText(path));
  const store = secret.store ?? onlyStore([...stores.keys()], path);
  const secrets = section(document, "secrets");
  if (rotated.get(secret.adminRef) === undefined && !held.has(secret.adminRef)) {
    secrets.add(heldEntry(document, secret.adminRef, store, { space: true }));
  }
  secrets.add(secretEntry(document, secret, store, {}));

  const text = render(document);
  check(path, text);
  const draft = writeDraft(path, text);
  chmodSync(draft, statSync(path).mode & 0o777);
  renameSync(draft, path);
}

/**
 * Where an editor finds the manifest's schema, as seen from the manifest's folder: in the nearest installation around it, so that it is
 * the one of the version in use. A path of this machine would be of no use to others.
 */
function schemaPath(folder: string): string {
  const installed = "node_modules/keyturn/schemas/keyturn.schema.json";
  const folders = [folder];
  for (let around = dirname(folder); around !== folders.at(-1); around = dirname(around))
    folders.push(around);
  const found = folders.findIndex((each) => existsSync(join(each, installed)));
  return found < 1 ? `./${installed}` : `${"../".repeat(found)}${installed}`;
}

const head = `# What Keyturn rotates, where it keeps it, and who uses it. This file belongs into version control:
# it holds references and never a value.

stores: {}

secrets: {}
`;

const storeComment =
  " Encrypted files on this machine; they do not belong into version control, and neither does their key.";
const heldComment =
  " The login by which Keyturn changes the others. It is only kept: its password is yours to change.";

type FieldComments = Readonly<Partial<Record<string, string>>>;
const fieldComments: FieldComments = {
  config: " Where the credential is used, and for whom it is.",
  schedule: " Besides, whenever `keyturn rotate` is called.",
  grace:
    " The old credential works until every agent has changed over to the new one. Agents that have not after this time\n" +
    " are named, and it goes on working (`hold`) or is cut off (`retire`).",
  fleets: " Who may read it.",
};

function secretEntry(document: Document, secret: NewSecret, store: string, comments: FieldComments): Pair {
  const fields = new YAMLMap(document.schema);
  const add = (name: string, value: unknown, flow: boolean): void => {
    fields.add(entry(document, name, value, { flow, comment: comments[name] }));
  };
  add("store", store, false);
  add("type", secret.type, false);
  add("config", withRelativePaths(secret.config, dirname(resolve(secret.path))), false);
  add("admin", { secret: secret.adminRef }, true);
  add("schedule", { every: secret.every ?? "30d" }, true);
  add("grace", { atMost: "24h", onLaggards: "hold" }, true);
  add("fleets", secret.fleets, true);
  return entry(document, secret.ref, fields, { space: true });
}

function heldEntry(document: Document, ref: string, store: string, look: Look): Pair {
  return entry(document, ref, { store, type: heldType }, { ...look, flow: true });
}

interface Look {
  /** In one line. */
  readonly flow?: boolean;
  readonly comment?: string | undefined;
  /** An empty line before it. */
  readonly space?: boolean;
}

function entry(document: Document, name: string, value: unknown, look: Look): Pair {
  const key: Scalar<string> = document.createNode(name);
  if (look.comment !== undefined) key.commentBefore = look.comment;
  if (look.space === true) key.spaceBefore = true;
  return new Pair(key, document.createNode(value, { flow: look.flow ?? false }));
}

/** The section as a mapping that takes entries on lines of their own, made where there is none. */
function section(document: Document, name: "stores" | "secrets"): YAMLMap {
  const found: unknown = document.get(name, true);
  if (isMap(found)) {
    if (found.items.length === 0) found.flow = false;
    return found;
  }
  const made = new YAMLMap(document.schema);
  // A section whose entries are all commented out is null, and the comments are the null's.
  const comment = isNode(found) ? (found.commentBefore ?? found.comment) : undefined;
  if (typeof comment === "string") made.commentBefore = comment;
  document.set(name, made);
  return made;
}

function onlyStore(names: readonly string[], path: string): string {
  const [only, ...others] = names;
  if (only !== undefined && others.length === 0) return only;
  const list = only === undefined ? "it has none" : `it has ${names.join(", ")}`;
  throw new KeyturnError("input-invalid", `say which store of ${shortPath(path)} is meant: ${list}`);
}

/** What lies beside the manifest is named as seen from there, so that a clone of the repository finds it too. */
function withRelativePaths(
  config: Readonly<Record<string, unknown>>,
  folder: string,
): Record<string, unknown> {
  const { tls } = config;
  const { ca }: { readonly ca?: unknown } = Object(tls);
  if (typeof ca !== "string" || !isAbsolute(ca)) return config;
  const fromFolder = relative(folder, ca);
  if (fromFolder.startsWith("..") || isAbsolute(fromFolder)) return config;
  return { ...config, tls: { ...Object(tls), ca: `./${fromFolder.replaceAll(sep, "/")}` } };
}

function render(document: Document): string {
  return document.toString({ lineWidth: 0 });
}

/** Nothing is written that could not be read again. */
function check(path: string, text: string): void {
  loadManifest(path, { readText: (file) => (file === path ? text : readText(file)) });
}

/** Beside the manifest, so that the change that follows is one step on one file system. */
function writeDraft(path: string, text: string): string {
  const draft = `${path}.${process.pid}.draft`;
  writeFileSync(draft, text);
  return draft;
}
