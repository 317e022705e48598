import * as z from "zod/mini";
import type { Asked } from "./strict-rights.ts";

/** A call, as far as rights go by it. */
export interface AskedCall {
  /** The function that calls. */
  readonly by: string;
  readonly service: string;
  readonly operation: string;
  /** Of S3, `/bucket/key?query`. */
  readonly path: string;
  readonly body: string;
}

/** The ARNs of secrets by their names. */
export type SecretArns = ReadonlyMap<string, string>;

const region = "us-east-1";
const account = "000000000000";
const arn = (service: string, resource: string) => `arn:aws:${service}:${region}:${account}:${resource}`;

const OfSecret = z.object({ SecretId: z.string() });
const OfSecrets = z.object({ SecretIdList: z.array(z.string()) });
const OfTable = z.object({ TableName: z.string(), IndexName: z.optional(z.string()) });
const OfTables = z.object({ RequestItems: z.record(z.string(), z.unknown()) });
const OfItems = z.object({
  TransactItems: z.array(z.record(z.string(), z.object({ TableName: z.string() }))),
});
const OfEvents = z.object({
  Entries: z.array(z.object({ EventBusName: z.string(), Source: z.string(), DetailType: z.string() })),
});
const OfQueue = z.object({
  QueueUrl: z.optional(z.string()),
  QueueName: z.optional(z.string()),
  tags: z.optional(z.unknown()),
});

/** What each item of a transaction is, by the right that it takes. */
const itemActions: Readonly<Record<string, string>> = {
  ConditionCheck: "ConditionCheckItem",
  Delete: "DeleteItem",
  Put: "PutItem",
  Update: "UpdateItem",
};

/**
 * The rights that a call takes, all of them, as AWS lists them for each service. Throws for what nobody has looked up.
 * https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
 */
export function rightsAsked(request: AskedCall, secretArns: SecretArns): readonly Asked[] {
  switch (request.service) {
    case "secretsmanager":
      return ofSecrets(request, secretArns);
    case "dynamodb":
      return ofTables(request);
    case "events":
      return ofEvents(request);
    case "s3":
      return ofObjects(request);
    case "sns":
      return ofTopics(request);
    case "sqs":
      return ofQueues(request);
    default:
      throw new Error(`nobody has looked up the rights of ${request.service}`);
  }
}

function ofSecrets({ operation, body, by }: AskedCall, secretArns: SecretArns): readonly Asked[] {
  // Where a secret is called by its name, AWS goes by its whole ARN.
  const secretArn = (id: string) => secretArns.get(id) ?? (id.startsWith("arn:") ? id : unknownSecret(id));
  const action = `secretsmanager:${operation}`;
  const said: unknown = JSON.parse(body);
  switch (operation) {
    case "ListSecrets":
      return [{ action, resource: "*" }];
    case "BatchGetSecretValue":
      return [
        { action, resource: "*" },
        ...OfSecrets.parse(said).SecretIdList.map((id) => ({
          action: "secretsmanager:GetSecretValue",
          resource: secretArn(id),
        })),
      ];
    case "RotateSecret":
      return [
        { action, resource: secretArn(OfSecret.parse(said).SecretId) },
        // Who has a secret rotated by a function may invoke that. A function rotates by itself.
        { action: "lambda:InvokeFunction", resource: arn("lambda", `function:${by}`) },
      ];
    default:
      return [{ action, resource: secretArn(OfSecret.parse(said).SecretId) }];
  }
}

/** Of one that was not there when names were read: with some six characters, which nobody chooses. */
function unknownSecret(name: string): string {
  return arn("secretsmanager", `secret:${name}-AbCdEf`);
}

function ofTables({ operation, body }: AskedCall): readonly Asked[] {
  const said: unknown = JSON.parse(body);
  const table = (name: string) => (name.startsWith("arn:") ? name : arn("dynamodb", `table/${name}`));
  switch (operation) {
    case "BatchGetItem":
      return Object.keys(OfTables.parse(said).RequestItems).map((name) => ({
        action: "dynamodb:BatchGetItem",
        resource: table(name),
      }));
    case "TransactWriteItems":
      return OfItems.parse(said).TransactItems.flatMap((item) =>
        Object.entries(item).map(([what, { TableName }]) => ({
          action: `dynamodb:${itemActions[what] ?? what}`,
          resource: table(TableName),
        })),
      );
    default: {
      const { TableName, IndexName } = OfTable.parse(said);
      const index = IndexName === undefined ? "" : `/index/${IndexName}`;
      return [{ action: `dynamodb:${operation}`, resource: `${table(TableName)}${index}` }];
    }
  }
}

function ofEvents({ operation, body }: AskedCall): readonly Asked[] {
  return OfEvents.parse(JSON.parse(body)).Entries.map(({ EventBusName: bus, Source, DetailType }) => ({
    action: `events:${operation}`,
    resource: bus.startsWith("arn:") ? bus : arn("events", `event-bus/${bus}`),
    context: { "events:source": Source, "events:detail-type": DetailType },
  }));
}

function ofQueues({ operation, body }: AskedCall): readonly Asked[] {
  const action = `sqs:${operation}`;
  if (operation === "ListQueues") return [{ action, resource: "*" }];
  const { QueueUrl = "", QueueName, tags } = OfQueue.parse(JSON.parse(body));
  const resource = arn("sqs", QueueName ?? QueueUrl.slice(QueueUrl.lastIndexOf("/") + 1));
  // What is made with tags is tagged.
  return [{ action, resource }, ...(tags === undefined ? [] : [{ action: "sqs:TagQueue", resource }])];
}

/** A form, and a subscription's ARN is its topic's and one part more. */
function ofTopics({ operation, body }: AskedCall): readonly Asked[] {
  const said = new URLSearchParams(body);
  const topic = said.get("TopicArn") ?? said.get("SubscriptionArn")?.split(":").slice(0, 6).join(":");
  if (topic === undefined) throw new Error(`nobody has looked up the rights of ${operation} at SNS`);
  return [{ action: `sns:${operation}`, resource: topic }];
}

/** What may be said of a plain read or list; anything else is another call, by another right. */
const plainly = new Set([
  "continuation-token",
  "delimiter",
  "list-type",
  "max-keys",
  "prefix",
  "start-after",
  "x-id",
]);

/** S3 says its operation by the method and the path. Metadata of an object is read by the right to read it. */
function ofObjects({ operation, path }: AskedCall): readonly Asked[] {
  const { pathname, searchParams } = new URL(path, "http://s3");
  const [, bucket = "", key = ""] = /^\/([^/]+)\/?(.*)$/.exec(decodeURIComponent(pathname)) ?? [];
  const isPlain = [...searchParams.keys()].every((name) => plainly.has(name));
  if (isPlain && operation === "GET" && bucket !== "" && key === "") {
    const context = { "s3:prefix": searchParams.get("prefix") ?? "" };
    return [{ action: "s3:ListBucket", resource: `arn:aws:s3:::${bucket}`, context }];
  }
  const action = { GET: "GetObject", HEAD: "GetObject", PUT: "PutObject" }[operation];
  if (!isPlain || key === "" || action === undefined)
    throw new Error(`nobody has looked up the rights of ${operation} ${path} at S3`);
  return [{ action: `s3:${action}`, resource: `arn:aws:s3:::${bucket}/${key}` }];
}
