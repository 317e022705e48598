import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateSecretCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { stringify } from "yaml";
import { type PostgresServer, startPostgres } from "../../postgres-server.ts";
import { createTarget } from "../../postgres-target.ts";
import { startProxy, type TcpProxy } from "../../tcp-proxy.ts";
import type { AwsConfig } from "../aws-config.ts";
import { deploy } from "../cdk.ts";
import { installed } from "../install.ts";
import { startLocalstack } from "../localstack.ts";
import { startMinistack } from "../ministack.ts";
import { keepLeftBehind } from "../stack/left-behind.ts";
import { startGate } from "./gate.ts";
import { makeUser } from "./iam-user.ts";
import { adminOf, type Secrets, webhookSecret } from "./secrets.ts";

/** The app, deployed as a person deploys it, with all that it works with. */
export interface Installation {
  readonly aws: AwsConfig;
  /** Where IAM and STS are, with the account's own key. */
  readonly iam: AwsConfig;
  readonly gate: string;
  readonly manifest: string;
  readonly outputs: Readonly<Record<string, string>>;
  readonly postgres: PostgresServer;
  /** By secret: the way to its database. */
  readonly wires: ReadonlyMap<string, TcpProxy>;
}

/** What is started ends with the stack. */
export async function startInstallation(
  stack: AsyncDisposableStack,
  { databases, users }: Secrets,
): Promise<Installation> {
  for (const emulator of ["dynamodb-local", "localstack", "ministack"] as const) await installed(emulator);
  const postgres = await startPostgres({ maxConnections: 200 });
  stack.defer(() => postgres.stop());
  const wires = new Map<string, TcpProxy>();
  for (const ref of Object.keys(databases)) {
    const wire = await startProxy({ host: "127.0.0.1", port: postgres.port });
    stack.defer(() => wire.close());
    wires.set(ref, wire);
  }
  const gate = stack.use(await startGate(wires));
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
  gate.leadTo(localstack.endpoint);
  const folder = mkdtempSync(join(tmpdir(), "keyturn-installation-"));
  stack.defer(() => rmSync(folder, { recursive: true }));
  const manifest = join(folder, "keyturn.yaml");
  const manager = new SecretsManagerClient(localstack.config);
  const SecretString = randomBytes(24).toString("hex");
  await manager.send(new CreateSecretCommand({ Name: webhookSecret, SecretString }));
  const secrets: Record<string, unknown> = {};
  const add = async (ref: string, type: string, config: object, admin: string, said: object) => {
    await manager.send(new CreateSecretCommand({ Name: ref }));
    await manager.send(new CreateSecretCommand({ Name: adminOf(ref), SecretString: admin }));
    secrets[ref] = { store: "shown", type, config, admin: { secret: adminOf(ref) }, ...said };
    secrets[adminOf(ref)] = { store: "shown", type: "held" };
  };
  for (const [ref, said] of Object.entries(databases)) {
    const target = await createTarget(postgres);
    const config = { ...target.config, port: wires.get(ref)?.port };
    await add(ref, "postgres-alternating", config, JSON.stringify(target.administrator), said);
  }
  for (const [ref, said] of Object.entries(users)) {
    const userName = ref.replace("/", "-");
    const config = { userName, region: "us-east-1", freshKeyMs: 400, quietMs: 1, keepInactiveMs: 0 };
    await add(ref, "aws-iam-access-key", config, await makeUser(ministack.config, userName), said);
  }
  const stores = { shown: { aws: { account: "000000000000", region: "us-east-1" } } };
  writeFileSync(manifest, stringify({ stores, secrets }));
  const context = { manifest, terminationProtection: "false", auditDays: "1", webhookSecret };
  const app = { command: "node cdk/app.ts", stack: "keyturn-shown", context };
  const outputs = await deploy(localstack.config, app);
  manager.destroy();
  return {
    aws: localstack.config,
    iam: ministack.config,
    gate: gate.endpoint,
    manifest,
    outputs,
    postgres,
    wires,
  };
}
