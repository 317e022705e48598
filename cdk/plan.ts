import { readFileSync } from "node:fs";
import { KeyturnError } from "../core/errors.ts";
import type { ManagedSecret } from "../core/ports.ts";
import { deploymentOf } from "../manifest/deployment.ts";
import { loadManifest } from "../manifest/load.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { credentialTypes } from "./credential-types.ts";

/** What of a secret its surroundings are made for. */
export type PlannedSecret = Pick<ManagedSecret, "ref" | "type" | "config" | "admin" | "fleets" | "tenant">;

/** What an installation is made of: the secrets of one store, and the text that its functions know them by. */
export interface Plan {
  readonly installation: string;
  readonly account: string;
  readonly region: string;
  /** How a function's secrets are named to IAM: each by its ARN, or all of them by the tags that they bear. */
  readonly secretsBy: "name" | "tag";
  /** By reference: the account of each secret, administering logins included, that is in another one. */
  readonly accounts: Readonly<Record<string, string>>;
  readonly secrets: readonly PlannedSecret[];
  /** Files that stand beside the code of every function, by name: `keyturn.json`, and what it names. */
  readonly files: Readonly<Record<string, string>>;
}

/** Reads a manifest. The store may be left out where there is only one on AWS. */
export function planOf(path: string, store?: string): Plan {
  const manifest = loadManifest(path, { facts: credentialTypes });
  const { deployment, files } = deploymentOf(manifest, store ?? onlyStore(manifest));
  const { installation, account, region, accounts = {}, secretsBy, secrets } = deployment;
  const beside = [...files].map(([name, file]) => [name, readFileSync(file, "utf8")] as const);
  return {
    installation,
    account,
    region,
    secretsBy,
    accounts,
    secrets: secrets.map(({ ref, type, config, admin, fleets, tenant }) => ({
      ref,
      type,
      config,
      admin,
      fleets,
      tenant,
    })),
    files: { ...Object.fromEntries(beside), "keyturn.json": JSON.stringify(deployment) },
  };
}

function onlyStore({ path, stores }: Manifest): string {
  const names = [...stores.values()].filter(({ kind }) => kind === "aws").map(({ name }) => name);
  const [only] = names;
  if (only !== undefined && names.length === 1) return only;
  throw new KeyturnError(
    "input-invalid",
    names.length === 0
      ? `${path} has no store on AWS`
      : `${path} has ${names.join(", ")} on AWS: say which one is deployed`,
  );
}

/** The credential types that are used, each with its secrets, in order. */
export function byType(secrets: readonly PlannedSecret[]): ReadonlyMap<string, readonly PlannedSecret[]> {
  const types = [...new Set(secrets.map(({ type }) => type))].toSorted();
  return new Map(types.map((type) => [type, secrets.filter((secret) => secret.type === type)]));
}

/** The fleets, each with the secrets that it reads, in order. */
export function byFleet(secrets: readonly PlannedSecret[]): ReadonlyMap<string, readonly PlannedSecret[]> {
  const fleets = [...new Set(secrets.flatMap((secret) => secret.fleets))].toSorted();
  return new Map(fleets.map((fleet) => [fleet, secrets.filter((secret) => secret.fleets.includes(fleet))]));
}

/** Every reference once, the administering logins included, in order. */
export function references(secrets: readonly PlannedSecret[]): {
  readonly own: readonly string[];
  readonly admin: readonly string[];
} {
  const own = new Set(secrets.map(({ ref }) => ref));
  const admin = new Set(secrets.flatMap((secret) => secret.admin ?? []));
  return { own: [...own].toSorted(), admin: [...admin].filter((ref) => !own.has(ref)).toSorted() };
}
