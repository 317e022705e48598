import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { checkConfig, checkPolicies, checkSecrets, heldType } from "./check-secrets.ts";
import { checkShape } from "./check-shape.ts";
import { checkStores } from "./check-stores.ts";
import { type Entry, gather } from "./gather.ts";
import { type ReadText, readWithIncludes } from "./include.ts";
import type { HeldSecret, Manifest, ManifestSecret, PolicyEntry, StoreEntry } from "./manifest.ts";
import { policyEntry, policyFor } from "./policy.ts";
import { formatPlace, manifestError } from "./problem.ts";
import type { SecretContent, StoreContent } from "./schema.ts";

export interface LoadOptions {
  /** The credential types that there are. Without it any name passes here, and the loader of types has the last word. */
  readonly types?: readonly string[];
  /** For those who want to know whether a text would load before they write it. */
  readonly readText?: ReadText;
}

/** Reads keyturn.yaml and all that it includes. Throws one `manifest-invalid` that names every problem and its place. */
export function loadManifest(path: string, options: LoadOptions = {}): Manifest {
  const root = resolve(path);
  const read = readWithIncludes(root, options.readText ?? ((file) => readFileSync(file, "utf8")));
  const files = read.files.map((file) => ({ file, shape: checkShape(file) }));
  const paths = read.files.map((file) => file.path);
  const shapeProblems = files.flatMap(({ shape }) => shape.problems);
  // While a file is missing or unreadable, every name that it declares would be reported as dangling.
  if (read.problems.length > 0) throw manifestError([...read.problems, ...shapeProblems], paths);

  const stores = gather("stores", files);
  const secrets = gather("secrets", files);
  const notify = gather("notify", files);
  const policies = files.flatMap(({ shape }) => (shape.content.policies ?? []).map(policyEntry));
  const names = { stores: stores.names, secrets: secrets.names, notify: notify.names, types: options.types };
  const problems = [
    ...shapeProblems,
    ...[stores, secrets, notify].flatMap((section) => section.problems),
    ...checkStores(stores),
    ...checkSecrets(secrets, names),
    ...notify.entries.flatMap((channel) => checkConfig(channel, channel.content, [], secrets.names)),
    ...(shapeProblems.length === 0 ? checkPolicies(secrets, policies) : []),
  ];
  if (problems.length > 0) throw manifestError(problems, paths);

  const rotated = new Map(secrets.entries.flatMap((entry) => readSecret(entry, policies)));
  const refs = [...rotated.keys()].toSorted();
  return {
    path: root,
    files: paths,
    stores: new Map(stores.entries.flatMap(readStore)),
    policies,
    secrets: { get: (ref) => rotated.get(ref), refs: () => refs },
    held: new Map(secrets.entries.flatMap(readHeld)),
    fleets: [...new Set([...rotated.values()].flatMap(({ fleets }) => fleets))].toSorted(),
    notify: new Map(notify.entries.map(({ name, content }) => [name, content])),
  };
}

function readStore({ name, content, file }: Entry<StoreContent>): readonly [string, StoreEntry][] {
  if (content.local === undefined) return [];
  const path = resolve(dirname(file), content.local.path);
  const key = content.local.key === undefined ? undefined : resolve(dirname(file), content.local.key);
  return [[name, { kind: "local", name, path, key }]];
}

function readSecret(
  entry: Entry<SecretContent>,
  policies: readonly PolicyEntry[],
): readonly [string, ManifestSecret][] {
  const { name: ref, content, file } = entry;
  const { store, type, config = {}, admin, fleets = [], tenant, notify = [] } = content;
  if (store === undefined || type === undefined || type === heldType) return [];
  const secret: ManifestSecret = {
    ref,
    type,
    config: withResolvedPaths(config, dirname(file)),
    admin: admin?.secret,
    policy: policyFor(ref, content, policies),
    fleets,
    tenant,
    store,
    notify,
    where: formatPlace(entry.problem([], "")),
  };
  return [[ref, secret]];
}

function readHeld({ name: ref, content }: Entry<SecretContent>): readonly [string, HeldSecret][] {
  const { store, type } = content;
  return store === undefined || type !== heldType ? [] : [[ref, { ref, store }]];
}

/** `tls.ca` is a file beside the manifest for whoever writes it; rotators run elsewhere and get it absolute. */
function withResolvedPaths(
  config: Readonly<Record<string, unknown>>,
  folder: string,
): Record<string, unknown> {
  const { tls } = config;
  const { ca }: { readonly ca?: unknown } = Object(tls);
  if (typeof ca !== "string") return config;
  return { ...config, tls: { ...Object(tls), ca: resolve(folder, ca) } };
}
