import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DescribeTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { GetFunctionConfigurationCommand, LambdaClient } from "@aws-sdk/client-lambda";
import { GetObjectLockConfigurationCommand, S3Client } from "@aws-sdk/client-s3";
import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { GetQueueUrlCommand, SQSClient } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { deploy, destroy } from "../cdk.ts";
import { invoke } from "./functions.ts";

/** The app as a person deploys it, unmodified. */
const aws = inject("localstack");
const folder = mkdtempSync(join(tmpdir(), "keyturn-installation-"));
const app = {
  command: "node cdk/app.ts",
  stack: "keyturn-shown",
  context: { manifest: join(folder, "keyturn.yaml"), terminationProtection: "false", auditDays: "1" },
};
const manager = new SecretsManagerClient(aws);
const names = { table: "keyturn-shown-journal", bucket: "keyturn-shown-audit-000000000000-us-east-1" };
let outputs: Awaited<ReturnType<typeof deploy>> = {};

beforeAll(async () => {
  writeFileSync(join(folder, "ca.pem"), "an authority");
  writeFileSync(
    app.context.manifest,
    `stores:
  shown: { aws: { account: "000000000000", region: us-east-1 } }
secrets:
  billing/db:
    store: shown
    type: postgres-alternating
    config: { host: db.internal, database: billing, owner: billing, tls: { ca: ca.pem } }
    admin: { secret: billing/db-admin }
    fleets: [invoice-agents]
  billing/db-admin: { store: shown, type: held }
`,
  );
  outputs = await deploy(aws, app);
}, 240_000);
afterAll(() => rmSync(folder, { recursive: true }));

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
