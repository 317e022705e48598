import type { Context, SQSBatchResponse, SQSEvent } from "aws-lambda";
import { beginNatively, isNative, rotateNatively } from "./native-rotation.ts";
import { openPorts } from "./ports.ts";
import { takeWork } from "./working.ts";

const installed = await openPorts(process.env);
const { ports, clientOf, naming } = installed;
const beginHere = beginNatively(clientOf, ports, process.env.AWS_LAMBDA_FUNCTION_NAME ?? "");
const begin = (ref: string) => naming(ref, () => beginHere(ref));

/** The function of one credential type: works on the secrets that its queue names, and takes the steps that Secrets Manager asks for. */
export async function handler(event: SQSEvent, context: Context): Promise<SQSBatchResponse | undefined> {
  const getRemainingTimeInMillis = () => context.getRemainingTimeInMillis();
  if (!isNative(event)) {
    const { awsRequestId } = context;
    return takeWork({ ...installed, begin }, event, { awsRequestId, getRemainingTimeInMillis });
  }
  await rotateNatively(installed, event, getRemainingTimeInMillis());
  return undefined;
}
