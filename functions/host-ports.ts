import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { SNSClient } from "@aws-sdk/client-sns";
import { SQSClient } from "@aws-sdk/client-sqs";
import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import { readDeployment } from "../manifest/deployment.ts";
import { openDeadLetters } from "./dead-letters.ts";
import { HostQueues } from "./host-queues.ts";
import type { HostPorts } from "./host-reports.ts";
import { openJournal } from "./journal.ts";
import { overlaps } from "./overlaps.ts";
import { openWakes } from "./wakes.ts";

const named = z.string().check(z.minLength(1));
const Environment = z.object({
  KEYTURN_INSTALLATION: named,
  KEYTURN_TABLE: named,
  /** What the addresses of all queues of the installation begin with. */
  KEYTURN_WORK_QUEUES: named,
  KEYTURN_DEAD_LETTERS: named,
  /** Where the deployment stands; beside the bundle if nothing is said. */
  KEYTURN_DEPLOYMENT: z.optional(named),
});

/** What the function needs that hears hosts: no rotator, no store, and no value. */
export function hostPorts(environment: NodeJS.ProcessEnv): HostPorts {
  const said = read(environment);
  const { secrets } = deployed(said.KEYTURN_DEPLOYMENT ?? join(import.meta.dirname, "keyturn.json"));
  const [sqs, sns] = [new SQSClient(), new SNSClient()];
  const table = { client: new DynamoDBClient(), name: said.KEYTURN_TABLE };
  const journal = openJournal(table);
  const clock = { now: () => Date.now() };
  const [installation, queuesUrl] = [said.KEYTURN_INSTALLATION, said.KEYTURN_WORK_QUEUES];
  return {
    journal,
    clock,
    secrets,
    log,
    overlapOf: async (type) => {
      const overlap = overlaps.get(type);
      if (overlap !== undefined) return overlap;
      throw new KeyturnError("config-invalid", `there is no type ${type}: deploy code and manifest together`);
    },
    queues: new HostQueues({ sqs, sns, installation, queuesUrl }),
    wakes: openWakes({ table, journal, secrets, sqs, queuesUrl, clock }),
    deadLetters: openDeadLetters(sqs, said.KEYTURN_DEAD_LETTERS),
  };
}

/** A line of JSON for each message, as CloudWatch reads it. */
const log: Log = (level, message, fields) => console.log(JSON.stringify({ level, message, ...fields }));

function read(environment: NodeJS.ProcessEnv): z.infer<typeof Environment> {
  const parsed = Environment.safeParse(environment);
  if (parsed.success) return parsed.data;
  const missing = parsed.error.issues.map(({ path }) => path.join("."));
  throw new KeyturnError("config-invalid", `the environment does not say ${missing.join(", ")}`);
}

function deployed(path: string) {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new KeyturnError("config-invalid", `the deployment ${path} cannot be read`, { cause });
  }
  return readDeployment(json(path, text), dirname(path));
}

function json(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new KeyturnError("config-invalid", `the deployment ${path} is no JSON`);
  }
}
