import { join } from "node:path";
import { freePort } from "../free-port.ts";
import { type AwsConfig, awsConfig } from "./aws-config.ts";
import { answers, startEmulator } from "./emulator-process.ts";
import { installed } from "./install.ts";

/**
 * An IAM that checks signatures: a key that is wrong, inactive or deleted is refused. A rotation is never tested on it: its
 * Secrets Manager says that it rotated, and did not.
 */
export interface Ministack extends AsyncDisposable {
  readonly endpoint: string;
  /** The account's own, which may do everything. */
  readonly config: AwsConfig;
  /** For the same place, with somebody's key. */
  configOf(credentials: AwsConfig["credentials"]): AwsConfig;
}

/** Its access key is the number of the account. */
const root = { accessKeyId: "000000000000", secretAccessKey: "test" } as const;

export async function startMinistack(): Promise<Ministack> {
  const folder = await installed("ministack");
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const emulator = await startEmulator({
    name: "MiniStack",
    command: [join(folder, "bin/python"), "-m", "ministack"],
    env: () => ({
      GATEWAY_PORT: String(port),
      BIND_HOST: "127.0.0.1",
      AUTH: "true",
      LAMBDA_EXECUTOR: "local",
    }),
    ready: async () => ((await answers(`${endpoint}/_ministack/health`, ({ ok }) => ok)) ? true : undefined),
    deadlineMs: 30_000,
  });
  return {
    endpoint,
    config: awsConfig(endpoint, root),
    configOf: (credentials) => awsConfig(endpoint, credentials),
    [Symbol.asyncDispose]: () => emulator[Symbol.asyncDispose](),
  };
}
