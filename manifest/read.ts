import { resolve } from "node:path";
import { checkAccounts } from "./check-accounts.ts";
import { checkConfigs, type TypeFacts } from "./check-config.ts";
import { checkChannels, checkPeople } from "./check-notify.ts";
import { checkPolicies, checkTimes } from "./check-policies.ts";
import { checkSecrets } from "./check-secrets.ts";
import { checkShape } from "./check-shape.ts";
import { checkStores } from "./check-stores.ts";
import { checkTenants } from "./check-tenants.ts";
import { readChannel, readHeld, readSecret, readStore } from "./entries.ts";
import { type Entry, gather, gatherPolicies } from "./gather.ts";
import { type ReadText, readWithIncludes } from "./include.ts";
import type { Manifest } from "./manifest.ts";
import { policyEntry } from "./policy.ts";
import type { Problem } from "./problem.ts";
import { readText } from "./read-text.ts";
import type { SecretContent } from "./schema.ts";
import type { ChannelContent } from "./schema-notify.ts";
import type { PolicyContent } from "./schema-policy.ts";

export interface ReadOptions {
  /** The credential types that there are. Without it any name passes here, and the loader of types has the last word. */
  readonly types?: readonly string[];
  /** What is known of the credential types: with it, each config is read as its type wants it. */
  readonly facts?: ReadonlyMap<string, TypeFacts>;
  /** For those who want to know whether a text would load before they write it. */
  readonly readText?: ReadText;
}

/** A manifest as it was written, with what is wrong with it, for those who want to say more of it. */
export interface ManifestRead {
  /** Undefined while there are problems. */
  readonly manifest: Manifest | undefined;
  readonly problems: readonly Problem[];
  /** In the order in which they were read, as absolute paths. */
  readonly files: readonly string[];
  readonly secrets: readonly Entry<SecretContent>[];
  readonly channels: readonly Entry<ChannelContent>[];
  /** In the order of the manifest's. */
  readonly policies: readonly Entry<PolicyContent>[];
}

/** Reads keyturn.yaml and all that it includes. Throws `manifest-invalid` where the file itself cannot be read. */
export function readManifest(path: string, options: ReadOptions = {}): ManifestRead {
  const root = resolve(path);
  const read = readWithIncludes(root, options.readText ?? readText);
  const files = read.files.map((file) => ({ file, shape: checkShape(file) }));
  const paths = read.files.map((file) => file.path);
  const shapeProblems = files.flatMap(({ shape }) => shape.problems);

  const stores = gather("stores", files);
  const secrets = gather("secrets", files);
  const notify = gather("notify", files);
  const people = gather("people", files);
  const declared = gatherPolicies(files);
  const found = {
    files: paths,
    secrets: secrets.entries,
    channels: notify.entries,
    policies: declared,
  };
  // While a file is missing or unreadable, every name that it declares would be reported as dangling.
  if (read.problems.length > 0) {
    return { ...found, manifest: undefined, problems: [...read.problems, ...shapeProblems] };
  }

  const policies = declared.map(({ content }) => policyEntry(content));
  const { facts = new Map(), types = facts.size === 0 ? undefined : [...facts.keys()] } = options;
  const names = {
    stores: stores.names,
    secrets: secrets.names,
    notify: notify.names,
    people: people.names,
    types,
  };
  const problems = [
    ...shapeProblems,
    ...[stores, secrets, notify, people].flatMap((section) => section.problems),
    ...checkStores(stores),
    ...checkSecrets(secrets, names),
    ...checkConfigs(secrets.entries, facts),
    ...checkAccounts(secrets, stores, facts),
    ...checkTenants(secrets),
    ...checkChannels(notify, secrets.names),
    ...checkPeople(people, root),
    ...checkPolicies(declared, names),
    ...(shapeProblems.length === 0 ? checkTimes(secrets, policies) : []),
  ];
  if (problems.length > 0) return { ...found, manifest: undefined, problems };

  const rotated = new Map(secrets.entries.flatMap((entry) => readSecret(entry, policies)));
  const refs = [...rotated.keys()].toSorted();
  const manifest: Manifest = {
    path: root,
    files: paths,
    stores: new Map(stores.entries.flatMap(readStore)),
    policies,
    secrets: { get: (ref) => rotated.get(ref), refs: () => refs },
    held: new Map(secrets.entries.flatMap(readHeld)),
    fleets: [...new Set([...rotated.values()].flatMap(({ fleets }) => fleets))].toSorted(),
    notify: new Map(notify.entries.flatMap(readChannel)),
    people: new Map(people.entries.map(({ name, content: { key } }) => [name, { name, key }])),
  };
  return { ...found, manifest, problems: [] };
}
