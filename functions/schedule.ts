import { SNSClient } from "@aws-sdk/client-sns";
import { AuditWitness } from "../core/audit-witness.ts";
import { openAuditPorts } from "./audit-ports.ts";
import { callLimits } from "./call-limits.ts";
import { HostQueues } from "./host-queues.ts";
import { openPorts } from "./ports.ts";
import { Tick } from "./tick.ts";

const { ports, queues, sqs, assertTagged, assertKeysThere } = openPorts(process.env);
const { installation, audit, clock } = ports;
const queuesUrl = process.env.KEYTURN_WORK_QUEUES ?? "";
const hosts = new HostQueues({ sqs, sns: new SNSClient(callLimits), installation, queuesUrl });
const witness = new AuditWitness({ installation, audit, clock, ...openAuditPorts(process.env) });
const tick = new Tick({ ports, queues, hosts, witness, assertTagged, assertKeysThere });

/** Finds what is due, every minute. */
export function handler(): Promise<{ readonly due: number }> {
  return tick.run();
}
