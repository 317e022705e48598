import { setTimeout as sleep } from "node:timers/promises";
import type { TestProject } from "vitest/node";
import { inBackground } from "../background.ts";
import { installed } from "../install.ts";
import { databases, users } from "./secrets.ts";
import { stageOf } from "./stage-of.ts";
import { startInstallation } from "./start.ts";
import type { Told } from "./told.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Where `installation.ts` waits for it. */
    readonly installation: string;
  }
}

/** The app, deployed unmodified, once, while files run that do without it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // Outside of everybody's time limit.
  for (const emulator of ["dynamodb-local", "localstack", "ministack"] as const) await installed(emulator);
  const background = await inBackground(deployed);
  project.provide("installation", background.address);
  return background.end;
}

async function deployed(stack: AsyncDisposableStack, over: AbortSignal): Promise<Told> {
  const installation = await startInstallation(stack, { databases, users }, over);
  const ticks = tickUntil(over, stageOf(installation).tick);
  stack.defer(() => ticks);
  const { aws, tables, iam, gate, hosts, manifest, outputs, postgres } = installation;
  const { host, port, ca, superuser } = postgres;
  return { aws, tables, iam, gate, hosts, manifest, outputs, postgres: { host, port, ca, superuser } };
}

/** More often, and what is ordered would pile up on a machine that is busy. */
const betweenTicksMs = 20_000;

/** EventBridge Scheduler, which LocalStack does not play, a little quicker: what a killed function has left undone is ordered again. */
async function tickUntil(over: AbortSignal, tick: () => Promise<void>): Promise<void> {
  // Several tests tick at once, each time in a process of its own, and a new one keeps house at once: that is little as yet.
  await Promise.allSettled([tick(), tick()]);
  while (!over.aborted) {
    // One that fails says so in its log, and the next one comes.
    await tick().catch(() => undefined);
    await sleep(betweenTicksMs, undefined, { signal: over }).catch(() => undefined);
  }
}
