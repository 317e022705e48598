import { join } from "node:path";
import {
  CreateEventBusCommand,
  EventBridgeClient,
  PutRuleCommand,
  PutTargetsCommand,
} from "@aws-sdk/client-eventbridge";
import {
  CreateEventSourceMappingCommand,
  CreateFunctionCommand,
  LambdaClient,
  waitUntilFunctionActiveV2,
} from "@aws-sdk/client-lambda";
import { CreateTopicCommand, SNSClient } from "@aws-sdk/client-sns";
import { build } from "esbuild";
import { inject } from "vitest";
import { hostSourcePrefix } from "../../../core/host-messages.ts";
import { newJournalTable } from "../journal-tables.ts";
import { zip } from "../zip.ts";
import { createQueue } from "./queues.ts";

const aws = inject("localstack");
const checkout = join(import.meta.dirname, "../../..");

/** The fan-out of an installation with one fleet, by the rules, the queues and the function that a stack has. */
export async function startFanOut(installation: string, fleet: string, ref: string, cacheTtlMs: number) {
  const prefix = `keyturn-${installation}`;
  const bridge = new EventBridgeClient(aws);
  const { TopicArn = "" } = await new SNSClient(aws).send(
    new CreateTopicCommand({ Name: `${prefix}-${fleet}` }),
  );
  const type = "postgres-alternating";
  const [reports, dead, work] = await Promise.all([
    createQueue(`${prefix}-reports`),
    createQueue(`${prefix}-reports-dead`),
    createQueue(`${prefix}-${type}-work`),
  ]);
  await bridge.send(new CreateEventBusCommand({ Name: prefix }));
  const rule = async (Name: string, pattern: unknown, Arn: string) => {
    const where = { EventBusName: prefix };
    await bridge.send(new PutRuleCommand({ ...where, Name, EventPattern: JSON.stringify(pattern) }));
    await bridge.send(new PutTargetsCommand({ ...where, Rule: Name, Targets: [{ Id: "one", Arn }] }));
  };
  await rule(`${prefix}-hosts`, { source: [{ prefix: hostSourcePrefix }] }, reports.arn);
  await rule(`${prefix}-${fleet}`, { source: ["dev.keyturn"], detail: { subject: [ref] } }, TopicArn);
  const table = await newJournalTable(aws);
  const policy = {
    cacheTtlMs,
    graceAtLeastMs: cacheTtlMs,
    graceAtMostMs: 3_600_000,
    onLaggards: "hold",
    confirmEveryMs: 60_000,
    stepDeadlineMs: 30_000,
    attemptsMax: 5,
    retryBaseMs: 1_000,
    retryMaxMs: 60_000,
  };
  const deployment = {
    version: 1,
    installation,
    account: "000000000000",
    region: aws.region,
    secrets: [{ ref, type, config: {}, policy, fleets: [fleet] }],
  };
  const queuesUrl = work.url.slice(0, -`${type}-work`.length);
  await deployEnrol(prefix, reports.arn, JSON.stringify(deployment), {
    KEYTURN_INSTALLATION: installation,
    KEYTURN_TABLE: table.name,
    KEYTURN_WORK_QUEUES: queuesUrl,
    KEYTURN_DEAD_LETTERS: dead.url,
  });
  return { bus: prefix, bridge, table, reports, dead, work, queuesUrl };
}

async function deployEnrol(
  prefix: string,
  from: string,
  deployment: string,
  Variables: Record<string, string>,
) {
  const lambda = new LambdaClient(aws);
  const FunctionName = `${prefix}-enrol`;
  await lambda.send(
    new CreateFunctionCommand({
      FunctionName,
      Runtime: "nodejs24.x",
      Handler: "index.handler",
      Role: "arn:aws:iam::000000000000:role/any",
      Timeout: 30,
      Environment: { Variables },
      Code: {
        ZipFile: zip({ "index.mjs": await bundled("functions/enrol.ts"), "keyturn.json": deployment }),
      },
    }),
  );
  await waitUntilFunctionActiveV2({ client: lambda, maxWaitTime: 30 }, { FunctionName });
  await lambda.send(
    new CreateEventSourceMappingCommand({
      FunctionName,
      EventSourceArn: from,
      // Where a queue was empty the emulator looks again after a second.
      BatchSize: 100,
      MaximumBatchingWindowInSeconds: 1,
      FunctionResponseTypes: ["ReportBatchItemFailures"],
    }),
  );
}

async function bundled(entry: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(checkout, entry)],
    bundle: true,
    write: false,
    minify: true,
    platform: "node",
    target: "node24",
    format: "esm",
    banner: {
      js: 'import { createRequire } from "node:module";const require = createRequire(import.meta.url);',
    },
  });
  return outputFiles[0]?.text ?? "";
}
