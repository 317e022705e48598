import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CloudWatchLogsClient,
  paginateDescribeLogGroups,
  paginateFilterLogEvents,
} from "@aws-sdk/client-cloudwatch-logs";
import { DynamoDBClient, paginateListTables, paginateScan } from "@aws-sdk/client-dynamodb";
import { GetObjectCommand, ListBucketsCommand, paginateListObjectsV2, S3Client } from "@aws-sdk/client-s3";
import {
  GetSecretValueCommand,
  paginateListSecrets,
  paginateListSecretVersionIds,
  SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import { paginateListQueues, ReceiveMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { variable } from "../../../canaries/run-folder.ts";
import { markValues } from "../../../canaries/watch.ts";
import { inParallel } from "../../../core/parallel.ts";
import type { AwsConfig } from "../aws-config.ts";

/** Which of them, by its name or its address. */
type Asked = (name: string) => boolean;
type Keep = (kind: string, name: string, lines: readonly string[]) => void;

/** Keeps what is about to go where it is looked for secret values when the run is over, and the values that are looked for. */
export async function keepLeftBehind(config: AwsConfig, asked: Asked = () => true): Promise<void> {
  const run = process.env[variable];
  if (run === undefined) return;
  markValues(run, "aws/stack", await storedValues(config, asked));
  await writeLeftBehind(config, mkdtempSync(join(tmpdir(), "keyturn-left-")), asked);
}

/** Writes into files what would go with an emulator: what functions have logged, and what is in its tables, buckets and queues. All at once: whoever runs tests waits for it. */
export async function writeLeftBehind(
  config: AwsConfig,
  folder: string,
  asked: Asked = () => true,
): Promise<void> {
  const keep = (kind: string, name: string, lines: readonly string[]) => {
    mkdirSync(join(folder, kind), { recursive: true });
    writeFileSync(join(folder, kind, encodeURIComponent(name).slice(-200)), lines.join("\n"), {
      mode: 0o600,
    });
  };
  const writers = [writeLogGroups, writeTables, writeBuckets, writeQueues];
  await Promise.all(writers.map((write) => write(config, asked, keep)));
}

async function writeLogGroups(config: AwsConfig, asked: Asked, keep: Keep): Promise<void> {
  const client = new CloudWatchLogsClient(config);
  for await (const { logGroups = [] } of paginateDescribeLogGroups({ client }, {})) {
    for (const { logGroupName = "" } of logGroups) {
      if (!asked(logGroupName)) continue;
      const lines: string[] = [];
      for await (const { events = [] } of paginateFilterLogEvents({ client }, { logGroupName }))
        lines.push(...events.map(({ message = "" }) => message));
      keep("log-groups", logGroupName, lines);
    }
  }
}

async function writeTables(config: AwsConfig, asked: Asked, keep: Keep): Promise<void> {
  const client = new DynamoDBClient(config);
  for await (const { TableNames = [] } of paginateListTables({ client }, {})) {
    for (const TableName of TableNames.filter(asked)) {
      const lines: string[] = [];
      for await (const { Items = [] } of paginateScan({ client }, { TableName }))
        lines.push(...Items.map((item) => JSON.stringify(item)));
      keep("tables", TableName, lines);
    }
  }
}

async function writeBuckets(config: AwsConfig, asked: Asked, keep: Keep): Promise<void> {
  const client = new S3Client(config);
  const { Buckets = [] } = await client.send(new ListBucketsCommand({}));
  for (const { Name: Bucket = "" } of Buckets) {
    if (!asked(Bucket)) continue;
    for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket })) {
      const read = await inParallel(Contents, 8, async ({ Key = "" }) => {
        const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
        keep("objects", `${Bucket}/${Key}`, [(await Body?.transformToString()) ?? ""]);
      });
      for (const one of read) if (one.status === "rejected") throw one.reason;
    }
  }
}

async function writeQueues(config: AwsConfig, asked: Asked, keep: Keep): Promise<void> {
  const client = new SQSClient(config);
  for await (const { QueueUrls = [] } of paginateListQueues({ client }, {})) {
    for (const QueueUrl of QueueUrls.filter(asked)) {
      const ask = {
        QueueUrl,
        MaxNumberOfMessages: 10,
        MessageAttributeNames: ["All"],
        VisibilityTimeout: 60,
        // Queues of hosts wait long by themselves.
        WaitTimeSeconds: 0,
      };
      const lines: string[] = [];
      for (;;) {
        const { Messages = [] } = await client.send(new ReceiveMessageCommand(ask));
        lines.push(...Messages.map((message) => JSON.stringify(message)));
        if (Messages.length === 0) break;
      }
      keep("queues", QueueUrl, lines);
    }
  }
}

/** Every value that Secrets Manager has, whoever made it, whole and field by field: functions make some that no test ever sees. */
export async function storedValues(config: AwsConfig, asked: Asked = () => true): Promise<readonly string[]> {
  const client = new SecretsManagerClient(config);
  const secrets: string[] = [];
  for await (const { SecretList = [] } of paginateListSecrets({ client }, {}))
    secrets.push(...SecretList.flatMap(({ ARN = "" }) => (asked(ARN) ? [ARN] : [])));
  const read = await inParallel(secrets, 8, (SecretId) => valuesOf(client, SecretId));
  return read.flatMap((one) => {
    if (one.status === "rejected") throw one.reason;
    return one.value;
  });
}

async function valuesOf(client: SecretsManagerClient, SecretId: string): Promise<readonly string[]> {
  const values: string[] = [];
  const all = { SecretId, IncludeDeprecated: true };
  for await (const { Versions = [] } of paginateListSecretVersionIds({ client }, all)) {
    for (const { VersionId } of Versions) {
      const found = await client
        .send(new GetSecretValueCommand({ SecretId, VersionId }))
        // A version that has no value yet, or of a secret that is deleted.
        .catch(() => undefined);
      if (found?.SecretString !== undefined) values.push(found.SecretString, ...fieldsOf(found.SecretString));
    }
  }
  return values;
}

function fieldsOf(text: string): readonly string[] {
  try {
    return Object.values(Object(JSON.parse(text))).filter((field) => typeof field === "string");
  } catch {
    return [];
  }
}
