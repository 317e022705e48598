import { randomUUID } from "node:crypto";
import { CreateTableCommand, DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb";
import {
  EventBridgeClient,
  PutEventsCommand,
  PutRuleCommand,
  PutTargetsCommand,
} from "@aws-sdk/client-eventbridge";
import { CreateKeyCommand, KMSClient, SignCommand, VerifyCommand } from "@aws-sdk/client-kms";
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import {
  CreateSecretCommand,
  GetSecretValueCommand,
  RotateSecretCommand,
  SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import { CreateTopicCommand, PublishCommand, SNSClient, SubscribeCommand } from "@aws-sdk/client-sns";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { createFunction, invoke, logOf } from "./functions.ts";
import { createQueue, receive } from "./queues.ts";
import { rotatingFunction } from "./rotating-function.ts";

const aws = inject("localstack");

test("RotateSecret begins once for a token, as on AWS: asked for again it leaves the value as it is", async () => {
  const manager = new SecretsManagerClient(aws);
  const arn = await createFunction("smoke-once", rotatingFunction());
  const SecretId = "smoke/once";
  await manager.send(new CreateSecretCommand({ Name: SecretId, SecretString: "first" }));
  const rotate = { SecretId, RotationLambdaARN: arn, ClientRequestToken: randomUUID() };
  const first = await manager.send(new RotateSecretCommand(rotate));
  const again = await manager.send(new RotateSecretCommand(rotate));
  expect(again.VersionId).toBe(first.VersionId);
  const current = await manager.send(new GetSecretValueCommand({ SecretId }));
  expect(current).toMatchObject({ VersionId: rotate.ClientRequestToken, SecretString: "next" });
  const steps = async () => (await logOf("smoke-once")).filter((line) => line.startsWith("step "));
  await expect.poll(steps, { timeout: 15_000 }).toHaveLength(4);
});

test("a rotation invokes the function for each of its four steps, in one process", async () => {
  const manager = new SecretsManagerClient(aws);
  const arn = await createFunction("smoke-rotating", rotatingFunction());
  await manager.send(new CreateSecretCommand({ Name: "smoke/rotated", SecretString: "first" }));
  const { VersionId } = await manager.send(
    new RotateSecretCommand({ SecretId: "smoke/rotated", RotationLambdaARN: arn }),
  );
  const current = await manager.send(new GetSecretValueCommand({ SecretId: "smoke/rotated" }));
  expect(current).toMatchObject({ SecretString: "next", VersionId });

  await expect
    .poll(async () => (await logOf("smoke-rotating")).filter((line) => line.startsWith("step ")), {
      timeout: 15_000,
    })
    .toHaveLength(4);
  const steps = (await logOf("smoke-rotating")).filter((line) => line.startsWith("step "));
  expect(steps.map((line) => line.split(" ")[1])).toEqual([
    "createSecret",
    "setSecret",
    "testSecret",
    "finishSecret",
  ]);
  expect(new Set(steps.map((line) => line.split(" ")[2])).size).toBe(1);
});

test("a function that dies or takes too long fails, and the next invocation finds a new process", async () => {
  const source = `export async function handler({ what }) {
    if (what === "die") process.exit(3);
    if (what === "kill") process.kill(process.pid, "SIGKILL");
    if (what === "throw") throw new TypeError("told to");
    if (what === "sleep") await new Promise((resolve) => setTimeout(resolve, 60_000));
    return { pid: process.pid, outside: process.env.PYTHONPATH };
  }`;
  await createFunction("smoke-dying", source, 2);
  const first = await invoke("smoke-dying", {});
  expect(first).toEqual({ failed: false, answer: { pid: expect.any(Number) } });
  expect(await invoke("smoke-dying", { what: "throw" })).toMatchObject({
    failed: true,
    answer: { errorType: "TypeError", errorMessage: "told to" },
  });
  expect(await invoke("smoke-dying", {})).toEqual(first);
  for (const [what, errorType] of [
    ["die", "Runtime.ExitError"],
    ["kill", "Runtime.ExitError"],
    ["sleep", "Sandbox.Timedout"],
  ] as const) {
    const before = await invoke("smoke-dying", {});
    expect(await invoke("smoke-dying", { what })).toMatchObject({ failed: true, answer: { errorType } });
    const after = await invoke("smoke-dying", {});
    expect(after.failed).toBe(false);
    expect(after.answer).not.toEqual(before.answer);
  }
});

test("a table takes a write only where its condition holds", async () => {
  const dynamodb = new DynamoDBClient(aws);
  const once = {
    TableName: "smoke",
    Item: { pk: { S: "one" } },
    ConditionExpression: "attribute_not_exists(pk)",
  };
  await dynamodb.send(
    new CreateTableCommand({
      TableName: once.TableName,
      BillingMode: "PAY_PER_REQUEST",
      KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }],
      AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }],
    }),
  );
  await dynamodb.send(new PutItemCommand(once));
  await expect(dynamodb.send(new PutItemCommand(once))).rejects.toMatchObject({
    name: "ConditionalCheckFailedException",
  });
});

describe("S3", () => {
  const s3 = new S3Client(aws);
  const Bucket = "smoke-locked";
  const write = (Key: string, Body: string) =>
    s3.send(
      new PutObjectCommand({
        ...{ Bucket, Key, Body, IfNoneMatch: "*" },
        ObjectLockMode: "COMPLIANCE",
        ObjectLockRetainUntilDate: new Date(Date.now() + 3_600_000),
      }),
    );

  beforeAll(async () => {
    await s3.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true }));
  });

  test("a locked object can be neither deleted nor unlocked earlier", async () => {
    const { VersionId } = await write("entry", "kept");
    const version = { Bucket, Key: "entry", VersionId };
    await expect(s3.send(new DeleteObjectCommand(version))).rejects.toMatchObject({ name: "AccessDenied" });
    const Retention = { Mode: "COMPLIANCE", RetainUntilDate: new Date(Date.now() + 60_000) } as const;
    await expect(s3.send(new PutObjectRetentionCommand({ ...version, Retention }))).rejects.toMatchObject({
      name: "AccessDenied",
    });
    const { Body } = await s3.send(new GetObjectCommand(version));
    expect(await Body?.transformToString()).toBe("kept");
  });

  test("of many who write what must not be there, one does", async () => {
    const writers = ["one", "two", "three", "four", "five"];
    const written = await Promise.allSettled(writers.map((text) => write("race", text)));
    const lost = written.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
    expect(lost).toHaveLength(writers.length - 1);
    for (const failure of lost) expect(failure).toMatchObject({ name: "PreconditionFailed" });
  });
});

test("a key signs, and only what was signed verifies", async () => {
  const kms = new KMSClient(aws);
  const { KeyMetadata } = await kms.send(
    new CreateKeyCommand({ KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY" }),
  );
  const by = { KeyId: KeyMetadata?.KeyId, SigningAlgorithm: "ECDSA_SHA_256" } as const;
  const { Signature } = await kms.send(new SignCommand({ ...by, Message: Buffer.from("root") }));
  const verified = new VerifyCommand({ ...by, Signature, Message: Buffer.from("root") });
  expect((await kms.send(verified)).SignatureValid).toBe(true);
  const forged = new VerifyCommand({ ...by, Signature, Message: Buffer.from("rot") });
  await expect(kms.send(forged)).rejects.toMatchObject({ name: "KMSInvalidSignatureException" });
});

test("an event that a rule matches comes to the queue, and no other", async () => {
  const bridge = new EventBridgeClient(aws);
  const queue = await createQueue("smoke-events");
  const EventPattern = JSON.stringify({ source: ["keyturn.smoke"], detail: { fleet: ["a"] } });
  await bridge.send(new PutRuleCommand({ Name: "smoke", EventPattern }));
  await bridge.send(new PutTargetsCommand({ Rule: "smoke", Targets: [{ Id: "queue", Arn: queue.arn }] }));
  const entry = (fleet: string) => ({
    Source: "keyturn.smoke",
    DetailType: "smoke",
    Detail: JSON.stringify({ fleet }),
  });
  await bridge.send(new PutEventsCommand({ Entries: [entry("b"), entry("a")] }));
  expect(await receive(queue)).toMatchObject({ source: "keyturn.smoke", detail: { fleet: "a" } });
  expect(await receive(queue, 1)).toBeUndefined();
});

test("a topic fans out to each queue by its filter", async () => {
  const sns = new SNSClient(aws);
  const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: "smoke" }));
  const [all, some] = [await createQueue("smoke-all"), await createQueue("smoke-some")];
  const Attributes = { RawMessageDelivery: "true" };
  const FilterPolicy = JSON.stringify({ host: ["one"] });
  for (const { arn, ...filter } of [{ arn: all.arn }, { arn: some.arn, FilterPolicy }])
    await sns.send(
      new SubscribeCommand({
        TopicArn,
        Protocol: "sqs",
        Endpoint: arn,
        Attributes: { ...Attributes, ...filter },
      }),
    );
  for (const host of ["two", "one"])
    await sns.send(
      new PublishCommand({
        TopicArn,
        Message: JSON.stringify({ host }),
        MessageAttributes: { host: { DataType: "String", StringValue: host } },
      }),
    );
  expect([await receive(all), await receive(all)]).toEqual(
    expect.arrayContaining([{ host: "one" }, { host: "two" }]),
  );
  expect(await receive(some)).toEqual({ host: "one" });
  expect(await receive(some, 1)).toBeUndefined();
});
