import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { S3Client } from "@aws-sdk/client-s3";
import type { SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { SQSClient } from "@aws-sdk/client-sqs";
import * as z from "zod/mini";
import type { Clock, Ports } from "../core/ports.ts";
import { loadRotator } from "../rotators/registry.ts";
import { openAuditLog } from "./audit-log.ts";
import { callLimits } from "./call-limits.ts";
import { named, readDeployed, readEnvironment } from "./environment.ts";
import { openEventBus } from "./event-bus.ts";
import { assertKeysThere, LateFingerprinter, readFingerprinter } from "./fingerprinter.ts";
import { openJournal } from "./journal.ts";
import { log } from "./log.ts";
import { beginNatively, type RotationTokens } from "./native-rotation.ts";
import { openSecrets } from "./open-secrets.ts";
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
  /** Asks Secrets Manager to begin a rotation; false where it does not rotate the secret. */
  readonly begin: (ref: string) => Promise<boolean>;
  readonly accountOf: (ref: string) => string;
  /** Throws where secrets lack the tags that the functions' rights go by. */
  readonly assertTagged: () => Promise<void>;
  readonly rotationTokens: RotationTokens;
  /** Reads the keys of fingerprints, once: to be waited for before anything is done that may make one. Throws `key-missing` where they are not there. */
  readonly ready: () => Promise<void>;
  /** Sees that those keys are there, for whoever has no right to read them. Throws `key-missing`. */
  readonly assertKeysThere: () => Promise<void>;
}

const clock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    await sleep(ms, undefined, signal === undefined ? {} : { signal });
  },
};

/** Opens what the environment names, once for as long as the process lives; asks nobody anything. Throws `config-invalid` for what it does not name, and what is wrong with the deployment. */
export function openPorts(environment: NodeJS.ProcessEnv): Installed {
  const said = readEnvironment(Environment, environment);
  const deployed = readDeployed(environment.KEYTURN_DEPLOYMENT);
  const { account, accountOf } = deployed;
  const secrets = openSecrets({ deployed, environment, clock, log });
  const { rotationTokens, naming, assertTagged } = secrets;
  const sqs = new SQSClient(callLimits);
  const bucket = { client: new S3Client(callLimits), bucket: said.KEYTURN_AUDIT_BUCKET };
  const fingerprinter = new LateFingerprinter(() =>
    readFingerprinter(secrets.client, said.KEYTURN_FINGERPRINTS),
  );
  const ports: Ports = {
    installation: said.KEYTURN_INSTALLATION,
    store: secrets.store,
    journal: openJournal({ client: new DynamoDBClient(callLimits), name: said.KEYTURN_TABLE }),
    bus: openEventBus({ client: new EventBridgeClient(callLimits), bus: said.KEYTURN_BUS }),
    audit: openAuditLog(bucket),
    clock,
    random: { bytes: (length) => randomBytes(length) },
    log,
    fingerprinter,
    secrets: deployed.secrets,
    rotators: { load: loadRotator },
  };
  const { AWS_LAMBDA_FUNCTION_NAME: name = "" } = environment;
  const begin = beginNatively(secrets.clientOf, ports, { account, name });
  return {
    ports,
    queues: workQueues({ client: sqs, prefix: said.KEYTURN_WORK_QUEUES, secrets: deployed.secrets }),
    sqs,
    secrets: secrets.client,
    begin: (ref) => naming(ref, () => begin(ref)),
    accountOf,
    assertTagged,
    rotationTokens,
    ready: () => fingerprinter.ready(),
    assertKeysThere: () => assertKeysThere(secrets.client, said.KEYTURN_FINGERPRINTS),
  };
}
