import { setTimeout as sleep } from "node:timers/promises";
import { LambdaClient } from "@aws-sdk/client-lambda";
import { callsThrough } from "../../integration/aws/installation/gate-client.ts";
import type { Secrets } from "../../integration/aws/installation/secrets.ts";
import { stageOf } from "../../integration/aws/installation/stage-of.ts";
import { type Installation, startInstallation } from "../../integration/aws/installation/start.ts";

/** The secret that is rotated, and the one that hosts of a fleet read. */
export const rotated = "bench/rotated";
export const adopted = "bench/adopted";
export const fleet = "bench";
/** How long hosts keep a value. */
export const cacheTtlMs = 24_000;

const databases: Secrets["databases"] = {
  [rotated]: { cacheTtl: "1s", grace: { atLeast: "1s", atMost: "4s", onLaggards: "retire" } },
  [adopted]: {
    fleets: [fleet],
    cacheTtl: `${cacheTtlMs / 1_000}s`,
    grace: { atLeast: `${cacheTtlMs / 1_000}s`, atMost: "1h", onLaggards: "hold" },
  },
};

export const rotatingFunction = "keyturn-shown-postgres-alternating";

/** The app, deployed on an emulator as it is, with a real PostgreSQL. */
export interface AwsStage extends AsyncDisposable {
  readonly installation: Installation;
  readonly hands: ReturnType<typeof stageOf>;
  readonly lambda: LambdaClient;
  /** What functions have asked of AWS since a moment. */
  callsSince(since: number): ReturnType<typeof callsThrough>;
  /** The next invocation finds no process that has run before. */
  endFunctions(): Promise<void>;
}

export async function setAwsStage(): Promise<AwsStage> {
  const stack = new AsyncDisposableStack();
  try {
    const installation = await startInstallation(stack, { databases, users: {} });
    const hands = stageOf(installation);
    const lambda = new LambdaClient(installation.aws);
    return {
      installation,
      hands,
      lambda,
      callsSince: (since) => callsThrough(installation.gate, since),
      endFunctions: async () => {
        for (const pid of hands.processesOf(rotatingFunction)) process.kill(pid, "SIGKILL");
        // Until whoever started them has noticed.
        await sleep(500);
      },
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (failure) {
    await stack.disposeAsync();
    throw failure;
  }
}
