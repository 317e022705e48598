import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import type { ManagedSecret, Policy } from "../core/ports.ts";
import type { AwsStoreEntry, Manifest } from "./manifest.ts";
import { readSchedule } from "./schedule.ts";

/** The newest form that this version writes and reads. */
const version = 1;

const ScheduleShape = z.object({
  every: z.optional(z.number()),
  cron: z.optional(z.string()),
  timeZone: z.optional(z.string()),
  window: z.optional(z.union([z.string(), z.array(z.string())])),
  jitter: z.optional(z.number()),
});

const PolicyShape = z.object({
  cacheTtlMs: z.number(),
  graceAtLeastMs: z.number(),
  graceAtMostMs: z.number(),
  onLaggards: z.enum(["hold", "retire"]),
  confirmEveryMs: z.number(),
  stepDeadlineMs: z.number(),
  attemptsMax: z.number(),
  retryBaseMs: z.number(),
  retryMaxMs: z.number(),
});

const SecretShape = z.object({
  ref: z.string(),
  type: z.string(),
  config: z.unknown(),
  admin: z.optional(z.string()),
  policy: PolicyShape,
  schedule: z.optional(ScheduleShape),
  fleets: z.array(z.string()),
  tenant: z.optional(z.string()),
});

const DeploymentShape = z.object({
  version: z.literal(version),
  installation: z.string(),
  account: z.string(),
  region: z.string(),
  quota: z.optional(z.object({ rotations: z.number(), perMs: z.number() })),
  secretsBy: z._default(z.enum(["name", "tag"]), "name"),
  /** By reference: the account of each secret, administering logins included, that is in another one. */
  accounts: z.optional(z.record(z.string(), z.string())),
  secrets: z.array(SecretShape),
});

/** What the manifest says of one store, as plain JSON: what is deployed for it reads nothing else. It holds references, never values. */
export type Deployment = z.infer<typeof DeploymentShape>;

/** A deployment, and the files that its configs name: they have to stand beside it, under these names. */
export interface Deployed {
  readonly deployment: Deployment;
  /** The name beside the deployment, and the absolute path of the file that stands there. */
  readonly files: ReadonlyMap<string, string>;
}

/** What is deployed for a store on AWS. Throws `input-invalid` where the manifest has no such store. */
export function deploymentOf(manifest: Manifest, storeName: string): Deployed {
  const store = awsStore(manifest, storeName);
  const files = new Map<string, string>();
  const secrets = manifest.secrets.refs().flatMap((ref) => {
    const secret = manifest.secrets.get(ref);
    if (secret === undefined || secret.store !== storeName) return [];
    const { type, config, admin, policy, schedule, fleets, tenant } = secret;
    const { schedule: _, ...times } = policy;
    const beside = withFilesBeside(config, files);
    return [{ ref, type, config: beside, admin, policy: times, schedule, fleets: [...fleets], tenant }];
  });
  const { installation, account, region, secretsBy, quota } = store;
  const accounts = accountsOf(manifest, store);
  const said = { version, installation, account, region, quota, secretsBy, accounts, secrets };
  return { deployment: z.parse(DeploymentShape, JSON.parse(JSON.stringify(said))), files };
}

function accountsOf(manifest: Manifest, { name, account }: AwsStoreEntry): Readonly<Record<string, string>> {
  const rotated = manifest.secrets.refs().flatMap((ref) => manifest.secrets.get(ref) ?? []);
  const elsewhere = [...rotated, ...manifest.held.values()].flatMap((secret) =>
    secret.store === name && secret.account !== undefined && secret.account !== account
      ? [[secret.ref, secret.account] as const]
      : [],
  );
  return Object.fromEntries(elsewhere);
}

export interface DeployedSecrets {
  readonly installation: string;
  readonly account: string;
  readonly region: string;
  readonly quota: Deployment["quota"];
  readonly secretsBy: Deployment["secretsBy"];
  /** The account that a secret is in: the installation's, if nothing else is said. */
  readonly accountOf: (ref: string) => string;
  readonly secrets: { get(ref: string): ManagedSecret | undefined; refs(): readonly string[] };
  /** Every fleet that a secret names, in order. */
  readonly fleets: readonly string[];
  secretsOf(fleet: string): readonly ManagedSecret[];
}

/** Reads what `deploymentOf` made. `folder` is where it stands, and the files that it names. Throws `config-invalid` for what is none. */
export function readDeployment(json: unknown, folder: string): DeployedSecrets {
  const { version: found }: { readonly version?: unknown } = Object(json);
  if (typeof found === "number" && found > version) {
    throw new KeyturnError(
      "config-invalid",
      `the deployment has the form ${found}, and this code knows ${version}: deploy code and manifest together`,
    );
  }
  const read = DeploymentShape.safeParse(json);
  if (!read.success) {
    const where = read.error.issues[0]?.path.join(".") ?? "";
    throw new KeyturnError(
      "config-invalid",
      `the deployment cannot be read: ${where} is not what it should be`,
    );
  }
  const { installation, account, region, quota, secretsBy, accounts = {} } = read.data;
  const elsewhere = new Map(Object.entries(accounts));
  const secrets = new Map(read.data.secrets.map((secret) => [secret.ref, managed(secret, folder)]));
  const all = [...secrets.values()];
  const refs = [...secrets.keys()].toSorted();
  return {
    installation,
    account,
    region,
    quota,
    secretsBy,
    accountOf: (ref) => elsewhere.get(ref) ?? account,
    secrets: { get: (ref) => secrets.get(ref), refs: () => refs },
    fleets: [...new Set(all.flatMap(({ fleets }) => fleets))].toSorted(),
    secretsOf: (fleet) => all.filter(({ fleets }) => fleets.includes(fleet)),
  };
}

function awsStore(manifest: Manifest, name: string): AwsStoreEntry {
  const store = manifest.stores.get(name);
  if (store?.kind === "aws") return store;
  const others = [...manifest.stores.values()].filter(({ kind }) => kind === "aws").map((one) => one.name);
  const list = others.length === 0 ? "it has none on AWS" : `on AWS it has ${others.join(", ")}`;
  throw new KeyturnError("input-invalid", `${manifest.path} has no store ${name} on AWS: ${list}`);
}

function managed(secret: Deployment["secrets"][number], folder: string): ManagedSecret {
  const { ref, type, config, admin, fleets, tenant, schedule } = secret;
  const policy: Policy = { ...secret.policy, schedule: schedule && readSchedule(ref, schedule).schedule };
  return { ref, type, config: withFilesIn(config, folder), admin, policy, fleets, tenant };
}

/** `tls.ca` names a file; two of one name are told apart by their folder. */
function withFilesBeside(config: unknown, files: Map<string, string>): unknown {
  return withCa(config, (path) => {
    const name = `${createHash("sha256").update(path).digest("hex").slice(0, 8)}-${basename(path)}`;
    files.set(name, path);
    return name;
  });
}

function withFilesIn(config: unknown, folder: string): unknown {
  return withCa(config, (name) => join(folder, basename(name)));
}

function withCa(config: unknown, rename: (path: string) => string): unknown {
  const { tls }: { readonly tls?: unknown } = Object(config);
  const { ca }: { readonly ca?: unknown } = Object(tls);
  return typeof ca === "string" ? { ...Object(config), tls: { ...Object(tls), ca: rename(ca) } } : config;
}
