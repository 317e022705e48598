import { CloudWatchLogsClient, paginateFilterLogEvents } from "@aws-sdk/client-cloudwatch-logs";
import { InvokeCommand, LambdaClient } from "@aws-sdk/client-lambda";
import * as z from "zod/mini";
import { installation } from "./installation.ts";

const { aws } = installation;
const lambda = new LambdaClient(aws);
const logs = new CloudWatchLogsClient(aws);
export const rotating = "keyturn-shown-postgres-alternating";
const Failure = z.object({ errorMessage: z.string() });

/** Asks the function for a step, as Secrets Manager does, and tells what the function failed with; undefined: the step is done. */
export async function ask(Step: string, SecretId: string, token: string): Promise<string | undefined> {
  const event = { Step, SecretId, ClientRequestToken: token };
  const { FunctionError, Payload } = await lambda.send(
    new InvokeCommand({ FunctionName: rotating, Payload: JSON.stringify(event) }),
  );
  if (FunctionError === undefined) return undefined;
  return Failure.parse(JSON.parse(Payload?.transformToString() ?? "")).errorMessage;
}

/** What the rotating function has logged of a secret. */
export const logOf = (ref: string) => linesOf(`/aws/lambda/${rotating}`, ref);

/** The events of a secret, as they are counted for the alarms. */
export const eventsOf = (ref: string) => linesOf("/keyturn/shown/events", ref);

/** What a group of the log has of a secret. */
export async function linesOf(logGroupName: string, ref: string): Promise<readonly string[]> {
  const lines: string[] = [];
  for await (const { events = [] } of paginateFilterLogEvents({ client: logs }, { logGroupName }))
    lines.push(...events.map(({ message = "" }) => message));
  return lines.filter((line) => line.includes(ref));
}
