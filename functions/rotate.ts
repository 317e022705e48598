import type { Context } from "aws-lambda";
import { beginNatively } from "./native-rotation.ts";
import { openPorts } from "./ports.ts";
import { takeEvent } from "./rotating.ts";

const installed = await openPorts(process.env);
const { ports, clientOf, naming } = installed;
const beginHere = beginNatively(clientOf, ports, process.env.AWS_LAMBDA_FUNCTION_NAME ?? "");
const begin = (ref: string) => naming(ref, () => beginHere(ref));

/** The function of one credential type: works on its secrets as its queue, Secrets Manager, or a person's import asks for it. */
export function handler(event: unknown, context: Context): Promise<unknown> {
  const { awsRequestId } = context;
  const getRemainingTimeInMillis = () => context.getRemainingTimeInMillis();
  return takeEvent({ ...installed, begin }, event, { awsRequestId, getRemainingTimeInMillis });
}
