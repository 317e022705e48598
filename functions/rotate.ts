import type { Context } from "aws-lambda";
import { openPorts } from "./ports.ts";
import { takeEvent } from "./rotating.ts";

const installed = openPorts(process.env);

/** The function of one credential type: works on its secrets as its queue, Secrets Manager, or a person's import asks for it. */
export function handler(event: unknown, context: Context): Promise<unknown> {
  const { awsRequestId } = context;
  const getRemainingTimeInMillis = () => context.getRemainingTimeInMillis();
  return takeEvent(installed, event, { awsRequestId, getRemainingTimeInMillis });
}
