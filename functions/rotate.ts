import type { Context, SQSBatchResponse, SQSEvent } from "aws-lambda";
import { openPorts } from "./ports.ts";
import { takeWork } from "./working.ts";

const installed = await openPorts(process.env);

/** The function of one credential type: works on the secrets that its queue names. */
export function handler(event: SQSEvent, context: Context): Promise<SQSBatchResponse> {
  return takeWork(installed, event, {
    awsRequestId: context.awsRequestId,
    getRemainingTimeInMillis: () => context.getRemainingTimeInMillis(),
  });
}
