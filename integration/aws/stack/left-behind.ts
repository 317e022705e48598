import { mkdirSync, writeFileSync } from "node:fs";
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
import type { AwsConfig } from "../aws-config.ts";

/** Writes into files what would go with an emulator: what functions have logged, and what is in its tables, buckets and queues. */
export async function writeLeftBehind(config: AwsConfig, folder: string): Promise<void> {
  const keep = (kind: string, name: string, lines: readonly string[]) => {
    mkdirSync(join(folder, kind), { recursive: true });
    writeFileSync(join(folder, kind, encodeURIComponent(name).slice(-200)), lines.join("\n"), {
      mode: 0o600,
    });
  };
  await writeLogGroups(config, keep);
  await writeTables(config, keep);
  await writeBuckets(config, keep);
  await writeQueues(config, keep);
}

type Keep = (kind: string, name: string, lines: readonly string[]) => void;

async function writeLogGroups(config: AwsConfig, keep: Keep): Promise<void> {
  const client = new CloudWatchLogsClient(config);
  for await (const { logGroups = [] } of paginateDescribeLogGroups({ client }, {})) {
    for (const { logGroupName = "" } of logGroups) {
      const lines: string[] = [];
      for await (const { events = [] } of paginateFilterLogEvents({ client }, { logGroupName }))
        lines.push(...events.map(({ message = "" }) => message));
      keep("log-groups", logGroupName, lines);
    }
  }
}

async function writeTables(config: AwsConfig, keep: Keep): Promise<void> {
  const client = new DynamoDBClient(config);
  for await (const { TableNames = [] } of paginateListTables({ client }, {})) {
    for (const TableName of TableNames) {
      const lines: string[] = [];
      for await (const { Items = [] } of paginateScan({ client }, { TableName }))
        lines.push(...Items.map((item) => JSON.stringify(item)));
      keep("tables", TableName, lines);
    }
  }
}

async function writeBuckets(config: AwsConfig, keep: Keep): Promise<void> {
  const client = new S3Client(config);
  const { Buckets = [] } = await client.send(new ListBucketsCommand({}));
  for (const { Name: Bucket = "" } of Buckets) {
    for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket })) {
      for (const { Key = "" } of Contents) {
        const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
        keep("objects", `${Bucket}/${Key}`, [(await Body?.transformToString()) ?? ""]);
      }
    }
  }
}

async function writeQueues(config: AwsConfig, keep: Keep): Promise<void> {
  const client = new SQSClient(config);
  for await (const { QueueUrls = [] } of paginateListQueues({ client }, {})) {
    for (const QueueUrl of QueueUrls) {
      const ask = {
        QueueUrl,
        MaxNumberOfMessages: 10,
        MessageAttributeNames: ["All"],
        VisibilityTimeout: 60,
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
export async function storedValues(config: AwsConfig): Promise<readonly string[]> {
  const client = new SecretsManagerClient(config);
  const values: string[] = [];
  for await (const { SecretList = [] } of paginateListSecrets({ client }, {})) {
    for (const { Name: SecretId = "" } of SecretList) {
      const asked = { SecretId, IncludeDeprecated: true };
      for await (const { Versions = [] } of paginateListSecretVersionIds({ client }, asked)) {
        for (const { VersionId } of Versions) {
          const found = await client
            .send(new GetSecretValueCommand({ SecretId, VersionId }))
            // A version that has no value yet, or of a secret that is deleted.
            .catch(() => undefined);
          if (found?.SecretString !== undefined)
            values.push(found.SecretString, ...fieldsOf(found.SecretString));
        }
      }
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
