import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DescribeTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DescribeKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import { GetFunctionConfigurationCommand, LambdaClient } from "@aws-sdk/client-lambda";
import { GetObjectLockConfigurationCommand, S3Client } from "@aws-sdk/client-s3";
import {
  CreateSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  RotateSecretCommand,
  SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import { GetQueueUrlCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { Secret } from "../../../core/secret.ts";
import { openJournal } from "../../../functions/journal.ts";
import { identifier } from "../../../rotators/postgres/names.ts";
import { runKeyturn } from "../../keyturn-command.ts";
import { type PostgresServer, startPostgres } from "../../postgres-server.ts";
import { createTarget, type PostgresTarget } from "../../postgres-target.ts";
import { deploy, destroy } from "../cdk.ts";
import { invoke } from "./functions.ts";

/** The app as a person deploys it, unmodified. */
const aws = inject("localstack");
const folder = mkdtempSync(join(tmpdir(), "keyturn-installation-"));
const app = {
  command: "node cdk/app.ts",
  stack: "keyturn-shown",
  context: { manifest: join(folder, "keyturn.yaml"), terminationProtection: "false", auditDays: "1" },
  assembly: join(folder, "cloud-assembly"),
  // The installation that others share is the same app.
  isValidated: false,
};
const manager = new SecretsManagerClient(aws);
const sqs = new SQSClient(aws);
const [secret, left, type] = ["billing/db", "left/db", "postgres-alternating"];
/** Longer than the test: nobody has to release what nobody reads. */
const slow = { atLeast: "10m", atMost: "20m" };
const soon = { atLeast: "1s", atMost: "4s", onLaggards: "retire" };
const names = { table: "keyturn-shown-journal", bucket: "keyturn-shown-audit-000000000000-us-east-1" };
const journal = openJournal({ client: new DynamoDBClient(aws), name: names.table });
let outputs: Awaited<ReturnType<typeof deploy>> = {};
let postgres: PostgresServer;
let target: PostgresTarget;
let other: PostgresTarget;

beforeAll(async () => {
  postgres = await startPostgres();
  target = await createTarget(postgres);
  other = await createTarget(postgres);
  describe(slow);
  for (const [ref, { administrator }] of [[secret, target] as const, [left, other] as const]) {
    const SecretString = JSON.stringify(administrator);
    await manager.send(new CreateSecretCommand({ Name: `${ref}-admin`, SecretString }));
    await manager.send(new CreateSecretCommand({ Name: ref }));
  }
  outputs = await deploy(aws, app);
}, 240_000);
afterAll(async () => {
  await postgres.stop();
  rmSync(folder, { recursive: true });
});

/** Writes the manifest, with this grace of the first secret. */
function describe(grace: object): void {
  const entry = (ref: string, { config }: PostgresTarget, its: object) => ({
    [ref]: {
      ...{ store: "shown", type, config, admin: { secret: `${ref}-admin` } },
      ...{ fleets: ["invoice-agents"], cacheTtl: "1s", grace: its },
    },
    [`${ref}-admin`]: { store: "shown", type: "held" },
  });
  const stores = { shown: { aws: { account: "000000000000", region: aws.region } } };
  const secrets = { ...entry(secret, target, grace), ...entry(left, other, slow) };
  // JSON is YAML.
  writeFileSync(app.context.manifest, JSON.stringify({ stores, secrets }));
}

/** Whether the database lets that value in. */
async function letsIn(value: string | undefined): Promise<boolean> {
  const client = await target.client(new Secret(value ?? "")).catch(() => undefined);
  await client?.end();
  return client !== undefined;
}

async function storedIn(SecretId: string) {
  const { VersionId: version, SecretString: value } = await manager.send(
    new GetSecretValueCommand({ SecretId }),
  );
  return { version, value };
}

async function phaseOf(ref: string): Promise<string | undefined> {
  return (await journal.load(ref))?.record.state.phase;
}

/** A first value by an order, and a second one by RotateSecret, as the console does it. */
async function rotated(ref: string) {
  const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: "keyturn-shown-incidents" }));
  const MessageBody = JSON.stringify({ order: "rotate", ref, by: "alice" });
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody }));
  await expect.poll(() => phaseOf(ref), { timeout: 60_000 }).toBe("idle");
  const before = await storedIn(ref);
  return { before, ...(await rotatedAgain(ref)) };
}

async function rotatedAgain(ref: string) {
  const { FunctionArn } = await new LambdaClient(aws).send(
    new GetFunctionConfigurationCommand({ FunctionName: `keyturn-shown-${type}` }),
  );
  const token = randomUUID();
  const rotate = { SecretId: ref, RotationLambdaARN: FunctionArn, ClientRequestToken: token };
  await manager.send(new RotateSecretCommand(rotate));
  const after = await storedIn(ref);
  expect(after.version).toBe(token);
  return { after, token };
}

/** Rotates it again, and what it was before cannot be refused: by then its login is a superuser's, whom the administering one may not change. */
async function owing(ref: string) {
  const before = await storedIn(ref);
  const login = identifier(JSON.parse(before.value ?? "{}").username);
  await target.superuser.query(`BEGIN; ALTER ROLE ${login} SUPERUSER`);
  await rotatedAgain(ref);
  await target.superuser.query("COMMIT");
  const owed = async () => (await journal.load(ref))?.record.debts.map(({ version }) => version);
  await expect.poll(owed, { timeout: 60_000, interval: 250 }).toEqual([before.version]);
  return before;
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
  // An empty batch: it has read its environment and its deployment by then.
  expect(await invoke(FunctionName, { Records: [] })).toEqual({
    failed: false,
    answer: { batchItemFailures: [] },
  });
  // On AWS the stack's schedules have rotated each of its secrets once by now.
  for (const SecretId of [secret, left])
    expect((await manager.send(new DescribeSecretCommand({ SecretId }))).RotationEnabled).toBeUndefined();
}, 60_000);

test("deployed again with another manifest while a rotation is in grace, that goes on, and ends by the new one", async () => {
  const { before, after, token } = await rotated(secret);
  await rotated(left);
  expect(await phaseOf(secret)).toBe("grace");
  describe(soon);
  await deploy(aws, app);
  expect([await letsIn(before.value), await letsIn(after.value)]).toEqual([true, true]);
  // As whoever has changed the manifest orders it: what is due was told by the manifest before.
  const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: `keyturn-shown-${type}-work` }));
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: JSON.stringify({ ref: secret }) }));
  await expect.poll(() => letsIn(before.value), { timeout: 60_000 }).toBe(false);
  await expect.poll(() => phaseOf(secret), { timeout: 60_000 }).toBe("idle");
  expect((await journal.load(secret))?.record).toMatchObject({ current: { version: token }, debts: [] });
  expect(await letsIn(after.value)).toBe(true);
}, 240_000);

test("destroying it leaves what would be missed; that nobody ends what is under way, and what is owed, is said to whoever asks", async () => {
  expect(await phaseOf(left)).toBe("grace");
  const owed = await owing(secret);
  const all = [secret, left].flatMap((ref) => [ref, `${ref}-admin`]);
  const before = await Promise.all(all.map(storedIn));
  await destroy(aws, app);
  const environment = {
    ...process.env,
    AWS_ENDPOINT_URL: aws.endpoint,
    AWS_ACCESS_KEY_ID: aws.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: aws.credentials.secretAccessKey,
  };
  const ask = (...words: string[]) =>
    runKeyturn(["--manifest", app.context.manifest, ...words, "--json"], { environment });
  const isGone = expect.stringContaining("the stack of the store shown is gone: nobody rotates its secrets");
  const debts = await ask("debts");
  expect(debts.stderr).toEqual(isGone);
  expect(JSON.parse(debts.stdout).debts).toMatchObject([
    { ref: secret, version: owed.version, reason: "retired", managed: true },
  ]);
  const { code, stdout, stderr } = await ask("status", left);
  expect(stderr).toEqual(isGone);
  expect({ code, status: JSON.parse(stdout) }).toMatchObject({
    code: 0,
    status: { ref: left, phase: "grace" },
  });
  const { Table } = await new DynamoDBClient(aws).send(new DescribeTableCommand({ TableName: names.table }));
  expect(Table?.TableStatus).toBe("ACTIVE");
  const lock = await new S3Client(aws).send(new GetObjectLockConfigurationCommand({ Bucket: names.bucket }));
  expect(lock.ObjectLockConfiguration?.Rule?.DefaultRetention).toMatchObject({ Mode: "COMPLIANCE", Days: 1 });
  const kept = await manager.send(new GetSecretValueCommand({ SecretId: "keyturn-shown/fingerprint-keys" }));
  expect(kept.SecretString).toMatch(/^[A-Za-z0-9]{43}$/);
  expect(await Promise.all(all.map(storedIn))).toEqual(before);
  expect([await letsIn(before[0]?.value), await letsIn(owed.value)]).toEqual([true, true]);
  const keys = outputs.StaysAtDestroy?.split(" ").filter((name) => name.startsWith("arn:aws:kms:")) ?? [];
  expect(keys).toHaveLength(2);
  for (const KeyId of keys) {
    const { KeyMetadata } = await new KMSClient(aws).send(new DescribeKeyCommand({ KeyId }));
    expect(KeyMetadata?.KeyState).toBe("Enabled");
  }
  await expect(
    new LambdaClient(aws).send(
      new GetFunctionConfigurationCommand({ FunctionName: "keyturn-shown-postgres-alternating" }),
    ),
  ).rejects.toMatchObject({ name: "ResourceNotFoundException" });
}, 120_000);
