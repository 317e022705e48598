import type { SQSBatchResponse, SQSEvent } from "aws-lambda";
import { hostPorts } from "./host-ports.ts";
import { takeHostEvents } from "./host-reports.ts";

const ports = hostPorts(process.env);

/** Gives hosts their queues, and takes what they report: fed by the queue of what hosts say on the bus. */
export function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  return takeHostEvents(ports, event);
}
