import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CloudWatchLogsClient,
  CreateLogGroupCommand,
  CreateLogStreamCommand,
  PutLogEventsCommand,
} from "@aws-sdk/client-cloudwatch-logs";
import { CreateTableCommand, DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { CreateBucketCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import {
  CreateSecretCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import { CreateQueueCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { storedValues, writeLeftBehind } from "./left-behind.ts";

/** A region of its own: in the one of the others this would take their messages. */
const aws = { ...inject("localstack"), region: "eu-central-1" };
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "keyturn-looked-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("what functions log, and what is in tables, buckets and queues, is kept as it stands there", async () => {
  const logs = new CloudWatchLogsClient(aws);
  const stream = { logGroupName: "/aws/lambda/telling", logStreamName: "one" };
  await logs.send(new CreateLogGroupCommand(stream));
  await logs.send(new CreateLogStreamCommand(stream));
  const logEvents = [{ timestamp: Date.now(), message: "said in a log" }];
  await logs.send(new PutLogEventsCommand({ ...stream, logEvents }));

  const tables = new DynamoDBClient(aws);
  const key = "pk";
  await tables.send(
    new CreateTableCommand({
      TableName: "telling",
      AttributeDefinitions: [{ AttributeName: key, AttributeType: "S" }],
      KeySchema: [{ AttributeName: key, KeyType: "HASH" }],
      BillingMode: "PAY_PER_REQUEST",
    }),
  );
  const item = { [key]: { S: "row" }, text: { S: "held in a table" } };
  await tables.send(new PutItemCommand({ TableName: "telling", Item: item }));

  const buckets = new S3Client(aws);
  await buckets.send(
    new CreateBucketCommand({
      Bucket: "telling",
      CreateBucketConfiguration: { LocationConstraint: "eu-central-1" },
    }),
  );
  await buckets.send(new PutObjectCommand({ Bucket: "telling", Key: "a/b.json", Body: "put into a bucket" }));

  const queues = new SQSClient(aws);
  const { QueueUrl } = await queues.send(new CreateQueueCommand({ QueueName: "telling" }));
  for (const which of ["first", "second"])
    await queues.send(new SendMessageCommand({ QueueUrl, MessageBody: `${which} in a queue` }));

  await writeLeftBehind(aws, folder);
  const kept = (kind: string) =>
    readdirSync(join(folder, kind))
      .map((name) => readFileSync(join(folder, kind, name), "utf8"))
      .join("\n");
  expect(kept("log-groups")).toContain("said in a log");
  expect(kept("tables")).toContain("held in a table");
  expect(kept("objects")).toContain("put into a bucket");
  expect(kept("queues")).toContain("first in a queue");
  expect(kept("queues")).toContain("second in a queue");

  const chosen = join(folder, "chosen");
  await writeLeftBehind(aws, chosen, (name) => name === "/aws/lambda/telling");
  expect(readdirSync(chosen)).toEqual(["log-groups"]);
});

test("every version of every secret is known, whole and by its fields", async () => {
  const manager = new SecretsManagerClient(aws);
  const [one, two, plain] = [
    `{"username":"app","password":"first"}`,
    `{"password":"second"}`,
    "no JSON at all",
  ];
  await manager.send(new CreateSecretCommand({ Name: "left/db", SecretString: one }));
  await manager.send(new PutSecretValueCommand({ SecretId: "left/db", SecretString: two }));
  await manager.send(new CreateSecretCommand({ Name: "left/plain", SecretString: plain }));
  await manager.send(new CreateSecretCommand({ Name: "left/empty" }));
  expect(new Set(await storedValues(aws))).toEqual(new Set([one, "app", "first", two, "second", plain]));
  expect(await storedValues(aws, (arn) => arn.includes(":secret:left/plain-"))).toEqual([plain]);
});
