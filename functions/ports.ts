import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { S3Client } from "@aws-sdk/client-s3";
import { SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { SQSClient } from "@aws-sdk/client-sqs";
import { STSClient } from "@aws-sdk/client-sts";
import * as z from "zod/mini";
import type { Clock, Ports } from "../core/ports.ts";
import { loadRotator } from "../rotators/registry.ts";
import { clientsByAccount, readRoles } from "./accounts.ts";
import { openAuditLog } from "./audit-log.ts";
import { callLimits } from "./call-limits.ts";
import { named, readDeployed, readEnvironment } from "./environment.ts";
import { openEventBus } from "./event-bus.ts";
import { readFingerprinter } from "./fingerprinter.ts";
import { openJournal } from "./journal.ts";
import { log } from "./log.ts";
import { RotationTokens } from "./native-rotation.ts";
import { routedStore } from "./routed-store.ts";
import { awsSecretStore } from "./secret-store.ts";
import { assertTagged, namingTags, tagsOf } from "./secret-tags.ts";
import { type WorkQueues, workQueues } from "./work-queues.ts";

const Environment = z.object({
  KEYTURN_INSTALLATION: named,
  KEYTURN_TABLE: named,
  KEYTURN_BUS: named,
  KEYTURN_AUDIT_BUCKET: named,
  KEYTURN_FINGERPRINTS: named,
  KEYTURN_WORK_QUEUES: named,
});

/** All that a function of an installation works with, but for what signs the audit. */
export interface Installed {
  readonly ports: Ports;
  readonly queues: WorkQueues;
  readonly sqs: SQSClient;
  /** The installation's own account. */
  readonly secrets: SecretsManagerClient;
  /** The way to a secret, in whichever account it is. */
  readonly clientOf: (ref: string) => SecretsManagerClient;
  readonly accountOf: (ref: string) => string;
  /** Has work on a secret say what it most likely lacks, where AWS refuses it. */
  readonly naming: <Result>(ref: string, work: () => Promise<Result>) => Promise<Result>;
  /** Throws where secrets lack the tags that the functions' rights go by. */
  readonly assertTagged: () => Promise<void>;
  readonly rotationTokens: RotationTokens;
}

const clock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    await sleep(ms, undefined, signal === undefined ? {} : { signal });
  },
};

/** Opens what the environment names, once for as long as the process lives. Throws `config-invalid` for what it does not name, and what is wrong with the deployment. */
export async function openPorts(environment: NodeJS.ProcessEnv): Promise<Installed> {
  const said = readEnvironment(Environment, environment);
  const deployed = readDeployed(environment.KEYTURN_DEPLOYMENT);
  const rotationTokens = new RotationTokens();
  const [secrets, sqs] = [new SecretsManagerClient(callLimits), new SQSClient(callLimits)];
  const { accountOf } = deployed;
  const clientOf = clientsByAccount({
    own: { account: deployed.account, client: secrets },
    accountOf,
    roleFor: readRoles(environment.KEYTURN_ROLES),
    sts: new STSClient(callLimits),
    open: (credentials) => new SecretsManagerClient({ ...callLimits, credentials }),
    session: environment.AWS_LAMBDA_FUNCTION_NAME ?? `keyturn-${said.KEYTURN_INSTALLATION}`,
    remedy: "deploy KeyturnAccount in that account for this installation, and the installation again",
  });
  const storeBy = (client: SecretsManagerClient) =>
    awsSecretStore({
      client,
      clock,
      log,
      rotationToken: (_, rotationId) => rotationTokens.of(rotationId),
    });
  const refsByTag = deployed.secretsBy === "tag" ? deployed.secrets.refs() : [];
  const byTag = refsByTag.flatMap((ref) =>
    accountOf(ref) === deployed.account ? (deployed.secrets.get(ref) ?? []) : [],
  );
  const tags = new Map(byTag.map((secret) => [secret.ref, tagsOf(said.KEYTURN_INSTALLATION, secret)]));
  const naming: Installed["naming"] = (ref, work) => namingTags(tags.get(ref), work);
  const bucket = { client: new S3Client(callLimits), bucket: said.KEYTURN_AUDIT_BUCKET };
  const ports: Ports = {
    installation: said.KEYTURN_INSTALLATION,
    store: routedStore((ref) => storeBy(clientOf(ref)), storeBy(secrets).list, naming),
    journal: openJournal({ client: new DynamoDBClient(callLimits), name: said.KEYTURN_TABLE }),
    bus: openEventBus({ client: new EventBridgeClient(callLimits), bus: said.KEYTURN_BUS }),
    audit: openAuditLog(bucket),
    clock,
    random: { bytes: (length) => randomBytes(length) },
    log,
    fingerprinter: await readFingerprinter(secrets, said.KEYTURN_FINGERPRINTS),
    secrets: deployed.secrets,
    rotators: { load: loadRotator },
  };
  return {
    ports,
    queues: workQueues({ client: sqs, prefix: said.KEYTURN_WORK_QUEUES, secrets: deployed.secrets }),
    sqs,
    secrets,
    clientOf,
    accountOf,
    naming,
    assertTagged: async () => {
      if (byTag.length > 0) await assertTagged(secrets, said.KEYTURN_INSTALLATION, byTag);
    },
    rotationTokens,
  };
}
