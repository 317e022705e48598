import { CloudWatchLogsClient, FilterLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import {
  CreateFunctionCommand,
  InvokeCommand,
  LambdaClient,
  waitUntilFunctionActiveV2,
} from "@aws-sdk/client-lambda";
import { inject } from "vitest";
import { zip } from "../zip.ts";

const aws = inject("localstack");
const lambda = new LambdaClient(aws);
const logs = new CloudWatchLogsClient(aws);

/** Makes a function of one module that exports `handler`, waits until it can be invoked, and tells its ARN. */
export async function createFunction(name: string, source: string, timeoutSeconds = 20): Promise<string> {
  const { FunctionArn = "" } = await lambda.send(
    new CreateFunctionCommand({
      FunctionName: name,
      Runtime: "nodejs24.x",
      Handler: "index.handler",
      Role: "arn:aws:iam::000000000000:role/any",
      Timeout: timeoutSeconds,
      Code: { ZipFile: zip({ "index.mjs": source }) },
    }),
  );
  await waitUntilFunctionActiveV2({ client: lambda, maxWaitTime: 30 }, { FunctionName: name });
  return FunctionArn;
}

interface Invoked {
  readonly failed: boolean;
  readonly answer: unknown;
}

export async function invoke(name: string, event: unknown): Promise<Invoked> {
  const { FunctionError, Payload } = await lambda.send(
    new InvokeCommand({ FunctionName: name, Payload: JSON.stringify(event) }),
  );
  return {
    failed: FunctionError !== undefined,
    answer: JSON.parse(Payload?.transformToString() ?? "null"),
  };
}

/** What a function has logged until now, as it was written. */
export async function logOf(name: string): Promise<readonly string[]> {
  const { events = [] } = await logs.send(
    new FilterLogEventsCommand({ logGroupName: `/aws/lambda/${name}` }),
  );
  return events.map(({ message = "" }) => message.trim());
}
