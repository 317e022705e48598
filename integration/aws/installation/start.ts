import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateSecretCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { stringify } from "yaml";
import { tagsOf } from "../../../functions/secret-tags.ts";
import { type PostgresServer, startPostgres } from "../../postgres-server.ts";
import { createTarget, type PostgresTarget } from "../../postgres-target.ts";
import { startProxy, type TcpProxy } from "../../tcp-proxy.ts";
import type { AwsConfig } from "../aws-config.ts";
import { deploy } from "../cdk.ts";
import { startLocalstack } from "../localstack.ts";
import { startMinistack } from "../ministack.ts";
import { keepLeftBehind } from "../stack/left-behind.ts";
import { deployedRights } from "./deployed-rights.ts";
import { type Gate, startGate } from "./gate.ts";
import { bundleHosts } from "./host-bundle.ts";
import { makeRole, makeUser } from "./iam-user.ts";
import { adminOf, revocableRole, type Secrets, secretsBy, webhookSecret } from "./secrets.ts";

/** The app, deployed as a person deploys it, with all that it works with. */
export interface Installation {
  readonly aws: AwsConfig;
  /** Where its tables are, without LocalStack between. */
  readonly tables: AwsConfig;
  /** Where IAM and STS are, with the account's own key. */
  readonly iam: AwsConfig;
  readonly gate: string;
  /** The program of hosts, bundled. */
  readonly hosts: string;
  readonly manifest: string;
  readonly outputs: Readonly<Record<string, string>>;
  readonly postgres: PostgresServer;
  /** By secret: the way to its database. */
  readonly wires: ReadonlyMap<string, TcpProxy>;
}

/** What is started ends with the stack. `over`: nobody needs it any more, and its deployment ends in the middle. */
export async function startInstallation(
  stack: AsyncDisposableStack,
  secrets: Secrets,
  over?: AbortSignal,
): Promise<Installation> {
  const wires = new Map<string, TcpProxy>();
  const gate = stack.use(await startGate(wires));
  const starting = [
    startDatabases(stack, Object.keys(secrets.databases), wires),
    startEmulators(stack, gate),
  ] as const;
  // What is still starting when the other one has failed would be left behind.
  await Promise.allSettled(starting);
  const [{ postgres, targets }, { aws, tables, iam }] = await Promise.all(starting);
  const folder = mkdtempSync(join(tmpdir(), "keyturn-installation-"));
  stack.defer(() => rmSync(folder, { recursive: true }));
  const manifest = join(folder, "keyturn.yaml");
  const stores = { shown: { aws: { account: "000000000000", region: aws.region, secretsBy } } };
  const made = await makeSecrets({ aws, iam }, secrets, targets, wires);
  writeFileSync(manifest, stringify({ stores, secrets: made }));
  const context = {
    ...{ manifest, terminationProtection: "false", auditDays: "1" },
    ...{ webhookSecret, revocableRoles: revocableRole },
  };
  const app = { command: "node cdk/app.ts", stack: "keyturn-shown", context };
  const outputs = await deploy(aws, app, over);
  const hosts = await bundleHosts(join(folder, "hosts"));
  gate.limitTo(await deployedRights(aws, secretsBy));
  return { aws, tables, iam, gate: gate.endpoint, hosts, manifest, outputs, postgres, wires };
}

/** One server, with a role and a way to it for each secret. */
async function startDatabases(
  stack: AsyncDisposableStack,
  refs: readonly string[],
  wires: Map<string, TcpProxy>,
) {
  const postgres = await startPostgres({ maxConnections: 200 });
  stack.defer(() => postgres.stop());
  const targets = new Map<string, PostgresTarget>();
  for (const ref of refs) {
    const wire = await startProxy({ host: "127.0.0.1", port: postgres.port });
    stack.defer(() => wire.close());
    wires.set(ref, wire);
    targets.set(ref, await createTarget(postgres));
  }
  return { postgres, targets };
}

async function startEmulators(stack: AsyncDisposableStack, gate: Gate) {
  const ministack = stack.use(await startMinistack());
  const localstack = stack.use(
    await startLocalstack({
      AWS_ENDPOINT_URL: gate.endpoint,
      AWS_ENDPOINT_URL_IAM: ministack.endpoint,
      AWS_ENDPOINT_URL_STS: ministack.endpoint,
      // LocalStack has no keys that sign by Ed25519.
      AWS_ENDPOINT_URL_KMS: ministack.endpoint,
      // MiniStack checks signatures.
      AWS_ACCESS_KEY_ID: ministack.config.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: ministack.config.credentials.secretAccessKey,
      AWS_SESSION_TOKEN: "",
    }),
  );
  stack.defer(() => keepLeftBehind(localstack.config));
  gate.leadTo(localstack.config, localstack.tables);
  return { aws: localstack.config, tables: localstack.tables, iam: ministack.config };
}

/** What the manifest says of them, all made at once in the store. */
async function makeSecrets(
  { aws, iam }: Pick<Installation, "aws" | "iam">,
  { databases, users }: Secrets,
  targets: ReadonlyMap<string, PostgresTarget>,
  wires: Installation["wires"],
): Promise<object> {
  const manager = new SecretsManagerClient(aws);
  const add = async (ref: string, type: string, config: object, admin: string, said: object) => {
    const Tags = Object.entries(tagsOf("shown", { ref, type, tenant: undefined })).map(([Key, Value]) => ({
      Key,
      Value,
    }));
    await manager.send(new CreateSecretCommand({ Name: ref, Tags }));
    await manager.send(new CreateSecretCommand({ Name: adminOf(ref), SecretString: admin }));
    return {
      [ref]: { store: "shown", type, config, admin: { secret: adminOf(ref) }, ...said },
      [adminOf(ref)]: { store: "shown", type: "held" },
    };
  };
  const addDatabase = ([ref, said]: [string, object]) => {
    const { config, administrator } = targets.get(ref) ?? {};
    const through = { ...config, port: wires.get(ref)?.port };
    return add(ref, "postgres-alternating", through, JSON.stringify(administrator), said);
  };
  const addUser = async ([ref, said]: [string, object]) => {
    const userName = ref.replace("/", "-");
    const config = { userName, region: "us-east-1", freshKeyMs: 400, quietMs: 1, keepInactiveMs: 0 };
    return add(ref, "aws-iam-access-key", config, await makeUser(iam, userName), said);
  };
  const SecretString = randomBytes(24).toString("hex");
  const [made] = await Promise.all([
    Promise.all([...Object.entries(databases).map(addDatabase), ...Object.entries(users).map(addUser)]),
    manager.send(new CreateSecretCommand({ Name: webhookSecret, SecretString })),
    makeRole(iam, revocableRole),
  ]);
  manager.destroy();
  return Object.assign({}, ...made);
}
