import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CloudFormationClient,
  DescribeStacksCommand,
  paginateListStackResources,
} from "@aws-sdk/client-cloudformation";
import * as z from "zod/mini";
import type { AwsConfig } from "./aws-config.ts";
import { startGuarded } from "./guarded.ts";
import { lockFolder } from "./install-lock.ts";
import { keepLeftBehind } from "./stack/left-behind.ts";

interface CdkApp {
  /** What the CDK runs to get the app, for example `node cdk/app.ts`; in this checkout. */
  readonly command: string;
  readonly stack: string;
  readonly context?: Readonly<Record<string, string>>;
  /** Where its assembly is kept, so that it is destroyed as it was deployed last, and not made once more for that. */
  readonly assembly?: string;
  /** Whether the CDK validates what it has made by rules of its own. It does so at each deployment unless told otherwise, and takes longer for it than for all else. */
  readonly isValidated?: boolean;
}

interface Running {
  readonly isAway?: boolean;
  readonly isValidated?: boolean | undefined;
  readonly over?: AbortSignal | undefined;
}

/** The outputs of a stack, by name. */
type Outputs = Readonly<Record<string, string>>;

const checkout = join(import.meta.dirname, "../..");
const account = "000000000000";
const outputsName = "outputs.json";
const quiet = ["--no-notices", "--no-version-reporting"] as const;
const OutputsFile = z.record(z.string(), z.record(z.string(), z.string()));

/** Deploys a stack by the CDK's own command, as a person would, and tells its outputs. Again is an update. `over`: it ends in the middle, and throws. */
export async function deploy(config: AwsConfig, app: CdkApp, over?: AbortSignal): Promise<Outputs> {
  await bootstrap(config, over);
  const words = (folder: string) => [
    ...["deploy", app.stack, ...appOptions(app, folder)],
    ...["--require-approval=never", `--outputs-file=${join(folder, outputsName)}`],
  ];
  const outputs = await cdk(config, words, { over, isValidated: app.isValidated });
  return OutputsFile.parse(JSON.parse(outputs))[app.stack] ?? {};
}

/** Once for each emulator. Who comes while another one does it waits: they would find its stack half made. */
async function bootstrap(config: AwsConfig, over?: AbortSignal): Promise<void> {
  using _lock = await lockFolder(join(checkout, "node_modules/.cache/bootstrapping"), () => undefined);
  if (await isBootstrapped(config)) return;
  // Away from the checkout, or the CDK would run the app that its cdk.json names.
  await cdk(config, () => ["bootstrap", `aws://${account}/${config.region}`], { isAway: true, over });
}

/** Removes a stack, but for what it retains. What goes is kept before, to be searched for secret values. */
export async function destroy(config: AwsConfig, app: CdkApp): Promise<void> {
  const ids = await idsIn(config, app.stack);
  await keepLeftBehind(config, (name) => ids.has(name));
  const { assembly } = app;
  const options = (folder: string) =>
    assembly === undefined ? appOptions(app, folder) : [`--app=${assembly}`];
  await cdk(config, (folder) => ["destroy", app.stack, ...options(folder), "--force"]);
}

function appOptions({ command, context = {}, assembly }: CdkApp, folder: string): readonly string[] {
  const values = Object.entries(context).map(([name, value]) => `--context=${name}=${value}`);
  return [`--app=${command}`, `--output=${assembly ?? join(folder, "cloud-assembly")}`, ...values];
}

/** What its parts are called, and the log groups that its functions make by themselves. */
async function idsIn(config: AwsConfig, stack: string): Promise<ReadonlySet<string>> {
  const client = new CloudFormationClient(config);
  const ids = new Set<string>();
  for await (const page of paginateListStackResources({ client }, { StackName: stack })) {
    for (const { PhysicalResourceId: id = "" } of page.StackResourceSummaries ?? [])
      ids.add(id).add(`/aws/lambda/${id}`);
  }
  client.destroy();
  return ids;
}

async function isBootstrapped(config: AwsConfig): Promise<boolean> {
  const client = new CloudFormationClient(config);
  try {
    await client.send(new DescribeStacksCommand({ StackName: "CDKToolkit" }));
    return true;
  } catch (failure) {
    if (failure instanceof Error && failure.name === "ValidationError") return false;
    throw failure;
  } finally {
    client.destroy();
  }
}

/**
 * Runs in the checkout, or away from it, writes into a folder that is gone afterwards, and gives back the file of outputs. It tells nobody
 * outside, and asks nobody for news.
 */
async function cdk(
  config: AwsConfig,
  words: (folder: string) => readonly string[],
  { isAway = false, isValidated = true, over }: Running = {},
): Promise<string> {
  over?.throwIfAborted();
  const folder = await mkdtemp(join(tmpdir(), "keyturn-cdk-"));
  const logPath = join(folder, "cdk.log");
  const output = openSync(logPath, "a");
  try {
    const command = [join(checkout, "node_modules/.bin/cdk"), ...words(folder), ...quiet];
    const env = { ...environment(config, folder), CDK_VALIDATION: String(isValidated) };
    const where = { folder: isAway ? folder : checkout, output, env };
    const running = startGuarded(command, where);
    const end = () => void running.end();
    over?.addEventListener("abort", end);
    // It may have been over before anybody listened.
    if (over?.aborted === true) end();
    const code = await running.ended;
    over?.removeEventListener("abort", end);
    const outputsPath = join(folder, outputsName);
    if (code === 0) return existsSync(outputsPath) ? readFileSync(outputsPath, "utf8") : "{}";
    throw new Error(`cdk ended with exit code ${code}:\n${readFileSync(logPath, "utf8").slice(-8_000)}`);
  } finally {
    closeSync(output);
    await rm(folder, { recursive: true, force: true });
  }
}

function environment({ endpoint, region, credentials }: AwsConfig, folder: string): NodeJS.ProcessEnv {
  return {
    PATH: `${join(checkout, "node_modules/.bin")}:${process.env.PATH}`,
    AWS_ENDPOINT_URL: endpoint,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_EC2_METADATA_DISABLED: "true",
    CDK_DEFAULT_ACCOUNT: account,
    CDK_DEFAULT_REGION: region,
    CDK_HOME: folder,
    CDK_DISABLE_CLI_TELEMETRY: "true",
    NO_COLOR: "1",
    CI: "true",
  };
}
