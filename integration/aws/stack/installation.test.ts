import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DescribeTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { GetFunctionConfigurationCommand, LambdaClient } from "@aws-sdk/client-lambda";
import { GetObjectLockConfigurationCommand, S3Client } from "@aws-sdk/client-s3";
import {
  CreateSecretCommand,
  GetSecretValueCommand,
  RotateSecretCommand,
  SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import { GetQueueUrlCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { Secret } from "../../../core/secret.ts";
import { openJournal } from "../../../functions/journal.ts";
import { type PostgresServer, startPostgres } from "../../postgres-server.ts";
import { createTarget, type PostgresTarget } from "../../postgres-target.ts";
import { deploy, destroy } from "../cdk.ts";
import { invoke, logOf } from "./functions.ts";

/** The app as a person deploys it, unmodified. */
const aws = inject("localstack");
const folder = mkdtempSync(join(tmpdir(), "keyturn-installation-"));
const app = {
  command: "node cdk/app.ts",
  stack: "keyturn-shown",
  context: { manifest: join(folder, "keyturn.yaml"), terminationProtection: "false", auditDays: "1" },
};
const manager = new SecretsManagerClient(aws);
const sqs = new SQSClient(aws);
const [secret, type] = ["billing/db", "postgres-alternating"];
const names = { table: "keyturn-shown-journal", bucket: "keyturn-shown-audit-000000000000-us-east-1" };
let outputs: Awaited<ReturnType<typeof deploy>> = {};
let postgres: PostgresServer;
let target: PostgresTarget;

beforeAll(async () => {
  postgres = await startPostgres();
  target = await createTarget(postgres);
  const { host, port, database, owner } = target.config;
  const config = JSON.stringify({ host, port, database, owner, tls: { ca: postgres.caPath } });
  writeFileSync(
    app.context.manifest,
    `stores:
  shown: { aws: { account: "000000000000", region: us-east-1 } }
secrets:
  billing/db:
    store: shown
    type: postgres-alternating
    config: ${config}
    admin: { secret: billing/db-admin }
    fleets: [invoice-agents]
    cacheTtl: 1s
    grace: { atLeast: 1s, atMost: 4s, onLaggards: retire }
  billing/db-admin: { store: shown, type: held }
`,
  );
  const administrator = JSON.stringify(target.administrator);
  await manager.send(new CreateSecretCommand({ Name: "billing/db-admin", SecretString: administrator }));
  await manager.send(new CreateSecretCommand({ Name: secret }));
  outputs = await deploy(aws, app);
}, 240_000);
afterAll(async () => {
  await postgres.stop();
  rmSync(folder, { recursive: true });
});

/** What agents read; undefined while there is nothing. */
async function current() {
  const read = await manager.send(new GetSecretValueCommand({ SecretId: secret })).catch(() => undefined);
  return read?.SecretString?.includes("username") === true ? read : undefined;
}

/** Whether the database lets that value in. */
async function letsIn(value: string | undefined): Promise<boolean> {
  const client = await target.client(new Secret(value ?? "")).catch(() => undefined);
  await client?.end();
  return client !== undefined;
}

test("the app deploys what its functions want, and they start there", async () => {
  expect(outputs).toMatchObject({
    Bus: "keyturn-shown",
    StaysAtDestroy: expect.stringContaining(names.table),
    Agentsinvoiceagents: expect.stringContaining(":policy/keyturn-shown-agents-invoice-agents"),
  });
  const { FunctionName = "", Environment } = await new LambdaClient(aws).send(
    new GetFunctionConfigurationCommand({ FunctionName: "keyturn-shown-postgres-alternating" }),
  );
  const { QueueUrl } = await new SQSClient(aws).send(
    new GetQueueUrlCommand({ QueueName: "keyturn-shown-postgres-alternating-work" }),
  );
  expect(`${Environment?.Variables?.KEYTURN_WORK_QUEUES}postgres-alternating-work`).toBe(QueueUrl);
  // An empty batch: it has read its environment, its deployment and the keys of fingerprints by then.
  expect(await invoke(FunctionName, { Records: [] })).toEqual({
    failed: false,
    answer: { batchItemFailures: [] },
  });
}, 60_000);

test("an order by hand makes the first value: incidents, a request, work, a step after the other, and an event", async () => {
  const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: "keyturn-shown-incidents" }));
  const MessageBody = JSON.stringify({ order: "rotate", ref: secret, by: "alice" });
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody }));
  await expect.poll(async () => (await current())?.SecretString, { timeout: 60_000 }).toBeDefined();
  expect(await letsIn((await current())?.SecretString)).toBe(true);
}, 90_000);

test("RotateSecret takes its four steps here; the old value is refused when its grace is over, and nothing is owed", async () => {
  const before = await current();
  const { FunctionArn } = await new LambdaClient(aws).send(
    new GetFunctionConfigurationCommand({ FunctionName: `keyturn-shown-${type}` }),
  );
  const journal = openJournal({ client: new DynamoDBClient(aws), name: names.table });
  const phase = async () => (await journal.load(secret))?.record.state.phase;
  await expect.poll(phase, { timeout: 60_000 }).toBe("idle");
  const token = randomUUID();
  const rotate = { SecretId: secret, RotationLambdaARN: FunctionArn, ClientRequestToken: token };
  await manager.send(new RotateSecretCommand(rotate));
  const after = await current();
  expect(after?.VersionId).toBe(token);
  expect([await letsIn(before?.SecretString), await letsIn(after?.SecretString)]).toEqual([true, true]);
  await expect.poll(() => letsIn(before?.SecretString), { timeout: 60_000 }).toBe(false);
  await expect.poll(phase, { timeout: 60_000 }).toBe("idle");
  expect((await journal.load(secret))?.record).toMatchObject({ current: { version: token }, debts: [] });
  expect(await letsIn(after?.SecretString)).toBe(true);
  const log = (await logOf(`keyturn-shown-${type}`)).join("\n");
  expect(log).toContain("finishSecret is done");
  for (const value of [before, after]) {
    const { password } = JSON.parse(value?.SecretString ?? "{}");
    expect(log).not.toContain(password);
  }
}, 200_000);

test("destroying it leaves what would be missed", async () => {
  await destroy(aws, app);
  const { Table } = await new DynamoDBClient(aws).send(new DescribeTableCommand({ TableName: names.table }));
  expect(Table?.TableStatus).toBe("ACTIVE");
  const lock = await new S3Client(aws).send(new GetObjectLockConfigurationCommand({ Bucket: names.bucket }));
  expect(lock.ObjectLockConfiguration?.Rule?.DefaultRetention).toMatchObject({ Mode: "COMPLIANCE", Days: 1 });
  const kept = await manager.send(new GetSecretValueCommand({ SecretId: "keyturn-shown/fingerprint-keys" }));
  expect(kept.SecretString).toMatch(/^[A-Za-z0-9]{43}$/);
  await expect(
    new LambdaClient(aws).send(
      new GetFunctionConfigurationCommand({ FunctionName: "keyturn-shown-postgres-alternating" }),
    ),
  ).rejects.toMatchObject({ name: "ResourceNotFoundException" });
}, 120_000);
