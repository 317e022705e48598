import { join } from "node:path";
import { type AwsConfig, awsConfig } from "./aws-config.ts";
import { startEmulator } from "./emulator-process.ts";
import { installed } from "./install.ts";

/** AWS's own DynamoDB Local, with nothing in it, in memory. */
export interface DynamodbLocal extends AsyncDisposable {
  readonly endpoint: string;
  readonly port: number;
  /** Whoever asks with another access key or region sees other tables. */
  readonly config: AwsConfig;
}

export async function startDynamodbLocal(): Promise<DynamodbLocal> {
  const folder = await installed("dynamodb-local");
  const emulator = await startEmulator({
    name: "DynamoDB Local",
    command: [
      "java",
      "-Xmx256m",
      "-XX:TieredStopAtLevel=1",
      `-Djava.library.path=${join(folder, "jars")}`,
      "-cp",
      `${join(folder, "classes")}:${join(folder, "jars/*")}`,
      "LoopbackServer",
      "-inMemory",
      "-disableTelemetry",
    ],
    ready: async (log) => /^listening on 127\.0\.0\.1:(\d+)$/m.exec(log)?.[1],
    deadlineMs: 30_000,
  });
  const port = Number(emulator.found);
  const endpoint = `http://127.0.0.1:${port}`;
  return {
    endpoint,
    port,
    config: awsConfig(endpoint),
    [Symbol.asyncDispose]: () => emulator[Symbol.asyncDispose](),
  };
}
