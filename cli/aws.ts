import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { KMSClient } from "@aws-sdk/client-kms";
import { LambdaClient } from "@aws-sdk/client-lambda";
import { S3Client } from "@aws-sdk/client-s3";
import { SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { GetQueueUrlCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { fromTemporaryCredentials } from "@aws-sdk/credential-providers";
import { KeyturnError } from "../core/errors.ts";
import type { AuditKeys, AuditRoots, Log, ManagedSecret, Ports } from "../core/ports.ts";
import { clientsByAccount } from "../functions/accounts.ts";
import { openAuditKeys } from "../functions/audit-keys.ts";
import { openAuditLog } from "../functions/audit-log.ts";
import { openAuditRoots } from "../functions/audit-roots.ts";
import { type AwsPart, translateAws } from "../functions/aws-errors.ts";
import { callLimits } from "../functions/call-limits.ts";
import { openEventBus } from "../functions/event-bus.ts";
import { readFingerprinter } from "../functions/fingerprinter.ts";
import { openJournal } from "../functions/journal.ts";
import { routedStore } from "../functions/routed-store.ts";
import { awsSecretStore } from "../functions/secret-store.ts";
import { tag, type Untagged, untagged } from "../functions/secret-tags.ts";
import { systemClock } from "../local/clock.ts";
import { systemRandom } from "../local/random.ts";
import { awsNames } from "../manifest/aws-names.ts";
import type { AwsStoreEntry } from "../manifest/manifest.ts";
import { warnIfGone } from "./aws-gone.ts";
import { importByFunction, invokeLimits } from "./aws-import.ts";
import type { ImportThere } from "./import-there.ts";

const sts: AwsPart = { name: "STS", outage: "unreachable" };
const sqs: AwsPart = { name: "SQS", outage: "bus-unavailable" };

/** What is deployed on AWS for a store, as whoever calls may use it. */
export interface AwsInstallation {
  readonly installation: string;
  readonly parts: Pick<
    Ports,
    "installation" | "store" | "journal" | "bus" | "audit" | "clock" | "random" | "fingerprinter"
  >;
  readonly auditRoots: AuditRoots;
  readonly auditKeys: AuditKeys;
  /** Where the key is that signs the roots, as a person would say it. */
  readonly auditKeyPlace: string;
  /** Those of its secrets that lack the tags by which their function may touch them; undefined where rights go by names. */
  readonly untagged: ((secrets: readonly ManagedSecret[]) => Promise<readonly Untagged[]>) | undefined;
  readonly tag: (untagged: Untagged) => Promise<void>;
  /** Orders work on a secret of that type. What is due is found within a minute without it, so that it fails is only a warning. */
  readonly order: (ref: string, type: string) => Promise<void>;
  readonly importThere: ImportThere;
  readonly close: () => void;
}

/**
 * Opens what is deployed for a store by the identity of whoever calls: the SDK's own chain finds it, and a role of the store's is assumed by it. Nothing is
 * read or written before AWS has said that it is the account which the manifest names.
 */
export async function openAws(
  entry: AwsStoreEntry,
  accountOf: (ref: string) => string,
  log: Log,
  warn: (text: string) => void,
): Promise<AwsInstallation> {
  const { account, region, installation } = entry;
  const config = {
    ...callLimits,
    region,
    ...(entry.role === undefined ? {} : { credentials: assumed(entry, entry.role) }),
  };
  await assertAccount(entry, config);
  const names = awsNames(installation);
  const clients = {
    secrets: new SecretsManagerClient(config),
    table: new DynamoDBClient(config),
    events: new EventBridgeClient(config),
    bucket: new S3Client(config),
    keys: new KMSClient(config),
    queues: new SQSClient(config),
    functions: new LambdaClient({ ...config, ...invokeLimits }),
  };
  const clientOf = clientsByAccount({
    own: { account, client: clients.secrets },
    accountOf,
    roleFor: (other, ref) => roleIn(entry, other, ref),
    region,
    open: (credentials) => new SecretsManagerClient({ ...callLimits, region, credentials }),
    session: "keyturn",
    remedy: "let whoever calls the command take it, or use another profile",
  });
  const storeBy = (client: SecretsManagerClient) => awsSecretStore({ client, clock: systemClock, log });
  const bucket = { client: clients.bucket, bucket: names.auditBucket(account, region) };
  const [fingerprinter] = await Promise.all([
    readFingerprinter(clients.secrets, names.fingerprints).catch((thrown: unknown) => {
      throw deployedAt(entry, thrown);
    }),
    warnIfGone(clients.queues, names.incidents, entry.name, warn),
  ]);
  return {
    installation,
    parts: {
      installation,
      store: routedStore((ref) => storeBy(clientOf(ref)), storeBy(clients.secrets).list),
      journal: openJournal({ client: clients.table, name: names.table }),
      bus: openEventBus({ client: clients.events, bus: names.bus }),
      audit: openAuditLog(bucket),
      clock: systemClock,
      random: systemRandom,
      fingerprinter,
    },
    auditRoots: openAuditRoots(bucket),
    auditKeys: openAuditKeys(clients.keys, names.auditAlias),
    auditKeyPlace: `KMS, ${names.auditAlias}`,
    untagged:
      entry.secretsBy === "tag"
        ? (secrets) =>
            untagged(
              clients.secrets,
              installation,
              secrets.filter(({ ref }) => accountOf(ref) === account),
            )
        : undefined,
    tag: (one) => tag(clients.secrets, one),
    order: (ref, type) => order(clients.queues, names.workQueue(type), ref, warn),
    importThere: importByFunction(clients.functions, names.rotating),
    close: () => {
      for (const client of Object.values(clients)) client.destroy();
    },
  };
}

/** It is the first part that is read: without it nothing is deployed there, or not as the manifest calls it. */
function deployedAt({ name, account, region }: AwsStoreEntry, thrown: unknown): unknown {
  if (!(thrown instanceof KeyturnError) || thrown.code !== "key-missing") return thrown;
  return new KeyturnError(
    "config-invalid",
    `${thrown.message}: deploy the manifest to ${account} in ${region}, or correct what it says of the store ${name}`,
  );
}

/** The role of that name in another account: a person's rights there are not those of the installation. */
function roleIn({ name, region, role }: AwsStoreEntry, account: string, ref: string): string {
  if (role !== undefined) return roleArn(region, account, role.replace(/^.*:role\//, ""));
  throw new KeyturnError(
    "config-invalid",
    `${ref} is in the account ${account}: write the name of a role that both accounts have as \`role\` of the store ${name}, and the command takes it`,
  );
}

function roleArn(region: string, account: string, role: string): string {
  return `arn:${partitionOf(region)}:iam::${account}:role/${role}`;
}

function assumed({ account, region }: AwsStoreEntry, role: string) {
  const RoleArn = role.startsWith("arn:") ? role : roleArn(region, account, role);
  return fromTemporaryCredentials({
    params: { RoleArn, RoleSessionName: "keyturn" },
    clientConfig: { ...callLimits, region },
  });
}

/** https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html */
function partitionOf(region: string): string {
  if (region.startsWith("cn-")) return "aws-cn";
  return region.startsWith("us-gov-") ? "aws-us-gov" : "aws";
}

/** With another account's identity everything would be missing there, or, worse, be somebody else's. */
async function assertAccount(entry: AwsStoreEntry, config: { readonly region: string }): Promise<void> {
  const client = new STSClient(config);
  try {
    const { Account, Arn } = await client.send(new GetCallerIdentityCommand());
    if (Account === entry.account) return;
    throw new KeyturnError(
      "role-lacks-rights",
      `the store ${entry.name} is in the account ${entry.account}, and you are ${Arn ?? "nobody"}: use another profile, or name a role of that account in the manifest`,
    );
  } catch (thrown) {
    throw refusedIdentity(thrown, entry);
  } finally {
    client.destroy();
  }
}

/** The SDK's own words for it name files and variables, not what to do. */
function refusedIdentity(thrown: unknown, { name }: AwsStoreEntry): KeyturnError {
  const doing = `asking who you are, for the store ${name}`;
  const isLost = thrown instanceof Error && thrown.name === "CredentialsProviderError";
  if (!isLost) return translateAws(thrown, sts, doing);
  return new KeyturnError(
    "role-lacks-rights",
    `${doing}: there are no credentials of AWS; sign in by \`aws sso login\`, or set AWS_PROFILE`,
  );
}

async function order(
  client: SQSClient,
  name: string,
  ref: string,
  warn: (text: string) => void,
): Promise<void> {
  try {
    const { QueueUrl } = await client.send(new GetQueueUrlCommand({ QueueName: name }));
    await client.send(new SendMessageCommand({ QueueUrl, MessageBody: JSON.stringify({ ref }) }));
  } catch (thrown) {
    const { code, message } = translateAws(thrown, sqs, `ordering work by the queue ${name}`);
    warn(
      `work on ${ref} could not be ordered, and waits for the schedule, a minute at most: ${code}: ${message}`,
    );
  }
}
