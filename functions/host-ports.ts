import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { SNSClient } from "@aws-sdk/client-sns";
import { SQSClient } from "@aws-sdk/client-sqs";
import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import { callLimits } from "./call-limits.ts";
import { openDeadLetters } from "./dead-letters.ts";
import { named, readDeployed, readEnvironment } from "./environment.ts";
import { HostQueues } from "./host-queues.ts";
import type { HostPorts } from "./host-reports.ts";
import { openJournal } from "./journal.ts";
import { log } from "./log.ts";
import { overlaps } from "./overlaps.ts";
import { openWakes } from "./wakes.ts";

const Environment = z.object({
  KEYTURN_INSTALLATION: named,
  KEYTURN_TABLE: named,
  /** What the addresses of all queues of the installation begin with. */
  KEYTURN_WORK_QUEUES: named,
  KEYTURN_DEAD_LETTERS: named,
});

/** What the function needs that hears hosts: no rotator, no store, and no value. */
export function hostPorts(environment: NodeJS.ProcessEnv): HostPorts {
  const said = readEnvironment(Environment, environment);
  const { secrets } = readDeployed(environment.KEYTURN_DEPLOYMENT);
  const [sqs, sns] = [new SQSClient(callLimits), new SNSClient(callLimits)];
  const table = { client: new DynamoDBClient(callLimits), name: said.KEYTURN_TABLE };
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
