import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { CloudWatchLogsClient, FilterLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import { InvokeCommand } from "@aws-sdk/client-lambda";
import { memoryMegabytes } from "../../cdk/make-function.ts";
import type { AwsConfig } from "../../integration/aws/aws-config.ts";
import { median } from "../median.ts";
import { type Counted, countCalls, total } from "./calls.ts";
import type { RotationCount } from "./cost.ts";
import { type AwsStage, rotated, rotatingFunction } from "./stage.ts";

const warmRounds = 3;
const steps = ["createSecret", "setSecret", "testSecret", "finishSecret"] as const;

interface Measured {
  /** Of the four steps. */
  readonly ms: number;
  readonly calls: Counted;
  readonly connections: number;
  readonly failedConnections: number;
}

export interface AwsRotation {
  /** By RotateSecret; the median of the times, and of the counts what was most. */
  readonly warm: Measured;
  /** The same when no process of the function was there. */
  readonly cold: Measured;
  /** Each of the four steps in a process of its own. */
  readonly coldSteps: Measured;
  /** From the end of the four steps until nothing is owed. */
  readonly after: Omit<Measured, "ms">;
  /** All of the rotation that found no process. */
  readonly whole: RotationCount;
}

/** Rotations of a deployed installation: the four steps of Secrets Manager, and what follows. */
export async function benchAwsRotation(stage: AwsStage): Promise<AwsRotation> {
  await stage.hands.begun(rotated);
  await settled();
  const native = () => stage.hands.rotateSecret(rotated, randomUUID());
  const warm: Awaited<ReturnType<typeof measure>>[] = [];
  for (let round = 0; round < warmRounds; round += 1) warm.push(await measure(stage, native));
  await stage.endFunctions();
  const cold = await measure(stage, native);
  const coldSteps = await measure(stage, () => stepByStep(stage));
  const most = warm.reduce((one, other) =>
    total(other.steps.calls.store) > total(one.steps.calls.store) ? other : one,
  );
  return {
    warm: { ...most.steps, ms: median(warm.map(({ steps: { ms } }) => ms)) },
    cold: cold.steps,
    coldSteps: coldSteps.steps,
    after: cold.after,
    whole: cold.whole,
  };
}

/** As Secrets Manager does when each of its calls finds another container. */
async function stepByStep({ lambda, endFunctions }: AwsStage): Promise<void> {
  const ClientRequestToken = randomUUID();
  for (const Step of steps) {
    await endFunctions();
    const event = { Step, SecretId: rotated, ClientRequestToken };
    const { FunctionError, Payload } = await lambda.send(
      new InvokeCommand({ FunctionName: rotatingFunction, Payload: JSON.stringify(event) }),
    );
    if (FunctionError !== undefined) throw new Error(Payload?.transformToString());
  }
}

async function measure(
  { installation, hands, callsSince }: AwsStage,
  rotate: () => Promise<void>,
): Promise<Pick<AwsRotation, "after" | "whole"> & { readonly steps: Measured }> {
  const before = await hands.current(rotated);
  const connected = () => installation.wires.get(rotated)?.connections() ?? 0;
  const refused = () => refusedLogins(readFileSync(installation.postgres.logPath, "utf8"));
  const [connections, failed, since] = [connected(), refused(), Date.now()];
  const began = performance.now();
  await rotate();
  const ms = performance.now() - began;
  const [then, connectionsThen, failedThen] = [Date.now(), connected(), refused()];
  if ((await hands.current(rotated))?.version === before?.version)
    throw new Error("a rotation of the bench has not come to its end");
  await hands.atRest(rotated);
  await settled();
  const calls = (await callsSince(since)).filter(({ by }) => by === rotatingFunction);
  return {
    steps: {
      ms,
      calls: countCalls(calls.filter(({ at }) => at < then)),
      connections: connectionsThen - connections,
      failedConnections: failedThen - failed,
    },
    after: {
      calls: countCalls(calls.filter(({ at }) => at >= then)),
      connections: connected() - connectionsThen,
      failedConnections: refused() - failedThen,
    },
    whole: { calls: countCalls(calls), ...(await invocationsSince(since, installation.aws)) },
  };
}

/** What the log of the function says of its invocations. */
async function invocationsSince(startTime: number, aws: AwsConfig): Promise<Omit<RotationCount, "calls">> {
  const logs = new CloudWatchLogsClient(aws);
  const logGroupName = `/aws/lambda/${rotatingFunction}`;
  const { events = [] } = await logs.send(new FilterLogEventsCommand({ logGroupName, startTime }));
  logs.destroy();
  const lines = events.map(({ message = "" }) => message);
  const durations = lines.flatMap((line) => {
    const ms = /^REPORT .*Duration: (?<ms>[\d.]+) ms/.exec(line)?.groups?.ms;
    return ms === undefined ? [] : [Number(ms)];
  });
  if (durations.length < steps.length) throw new Error("the log tells of fewer invocations than steps");
  const seconds = durations.reduce((sum, ms) => sum + ms, 0) / 1_000;
  return {
    invocations: durations.length,
    gigabyteSeconds: (seconds * memoryMegabytes) / 1_024,
    logBytes: lines.reduce((sum, line) => sum + Buffer.byteLength(line), 0),
  };
}

/** The last work has written down what it did. */
const settled = () => sleep(1_500);

function refusedLogins(log: string): number {
  return [...log.matchAll(/FATAL: /g)].length;
}
