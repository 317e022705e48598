import { mkdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { freePort } from "../free-port.ts";
import { type AwsConfig, awsConfig } from "./aws-config.ts";
import { startDynamodbLocal } from "./dynamodb-local.ts";
import { answers, startEmulator } from "./emulator-process.ts";
import { installed } from "./install.ts";

/** AWS, as LocalStack emulates it: empty, with functions that run as processes and a DynamoDB Local of its own. */
export interface Localstack extends AsyncDisposable {
  /** An address with a number, so that S3 is asked by path. */
  readonly endpoint: string;
  readonly config: AwsConfig;
  /** The DynamoDB Local below it, with the same tables: half of what an installation asks for, and nothing that LocalStack adds to. */
  readonly tables: AwsConfig;
  /** Everything that LocalStack has said. */
  log(): string;
}

/** LocalStack asks for the tables of its account and region by this key. */
const tablesOf = { accessKeyId: "000000000000useast1", secretAccessKey: "test" } as const;

const checkout = join(import.meta.dirname, "../..");

/** `forFunctions`: variables that every function has, whatever else it is given. */
export async function startLocalstack(
  forFunctions: Readonly<Record<string, string>> = {},
): Promise<Localstack> {
  const folder = await installed("localstack");
  const dynamodb = await startDynamodbLocal();
  try {
    const port = await freePort();
    const endpoint = `http://127.0.0.1:${port}`;
    const emulator = await startEmulator({
      name: "LocalStack",
      command: [join(folder, "bin/python"), "-m", "localstack.runtime.main"],
      env: (own) => ({
        ...settings(own, folder, port, dynamodb.port),
        ...Object.fromEntries(
          Object.entries(forFunctions).map(([name, value]) => [`FUNCTION_ENV_${name}`, value]),
        ),
      }),
      ready: async () =>
        (await answers(`${endpoint}/_localstack/health`, ({ ok }) => ok)) ? true : undefined,
      deadlineMs: 60_000,
      // By itself it takes five seconds, to no end: what it knows is in memory.
      graceSeconds: 0,
    });
    return {
      endpoint,
      config: awsConfig(endpoint),
      tables: awsConfig(dynamodb.endpoint, tablesOf),
      log: () => emulator.log(),
      [Symbol.asyncDispose]: async () => {
        await emulator[Symbol.asyncDispose]();
        await dynamodb[Symbol.asyncDispose]();
      },
    };
  } catch (failure) {
    await dynamodb[Symbol.asyncDispose]();
    throw failure;
  }
}

function settings(own: string, folder: string, port: number, dynamodbPort: number): NodeJS.ProcessEnv {
  const path = [join(checkout, "node_modules/.bin"), join(folder, "bin"), process.env.PATH];
  const temporary = join(own, "tmp");
  mkdirSync(temporary);
  return {
    // The Node of the functions is ours.
    PATH: path.join(delimiter),
    PYTHONPATH: join(import.meta.dirname, "lambda-host"),
    LAMBDA_RUNTIME_EXECUTOR: "host",
    DYNAMODB_LOCAL_PORT: String(dynamodbPort),
    PROVIDER_OVERRIDE_DYNAMODB: "v2",
    PROVIDER_OVERRIDE_DYNAMODBSTREAMS: "v2",
    // Its own, which by itself listens on every interface: lambda-host/keyturn_lambda_host/server.py.
    GATEWAY_SERVER: "loopback",
    GATEWAY_LISTEN: `127.0.0.1:${port}`,
    LOCALSTACK_HOST: `127.0.0.1:${port}`,
    SQS_ENDPOINT_STRATEGY: "path",
    // By itself it waits a second after each batch of a function's queue, and up to ten after an empty one; AWS polls by several at once.
    LAMBDA_EVENT_SOURCE_MAPPING_POLL_INTERVAL_SEC: "0.2",
    LAMBDA_EVENT_SOURCE_MAPPING_MAX_BACKOFF_ON_EMPTY_POLL_SEC: "1",
    // Nobody reads them, and each message would be counted by several calls.
    SQS_DISABLE_CLOUDWATCH_METRICS: "1",
    // What it asks itself it asks without a wire between: that is about as much as it is asked by others.
    IN_MEMORY_CLIENT: "1",
    // Everything that it writes is in the folder that goes with it.
    FILESYSTEM_ROOT: join(own, "root"),
    CONFIG_DIR: join(own, "config"),
    TMPDIR: temporary,
    // It asks nobody outside, and serves no names.
    DISABLE_EVENTS: "1",
    SKIP_SSL_CERT_DOWNLOAD: "1",
    DNS_ADDRESS: "0",
  };
}
