import { setTimeout as sleep } from "node:timers/promises";
import type { TestProject } from "vitest/node";
import type { PostgresServer } from "../../postgres-server.ts";
import { databases, users } from "./secrets.ts";
import { stageOf } from "./stage-of.ts";
import { type Installation, startInstallation } from "./start.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** What tests may know of the installation that they share. */
    readonly installation: Omit<Installation, "postgres" | "wires"> & {
      readonly postgres: Pick<PostgresServer, "host" | "port" | "ca" | "superuser">;
    };
  }
}

/** The app, deployed unmodified, once before the first file of this folder. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const stack = new AsyncDisposableStack();
  try {
    const installation = await startInstallation(stack, { databases, users });
    const { postgres, wires, ...told } = installation;
    const over = new AbortController();
    const ticks = tickUntil(over.signal, stageOf(installation).tick);
    stack.defer(async () => {
      over.abort();
      await ticks;
    });
    const { host, port, ca, superuser } = postgres;
    project.provide("installation", { ...told, postgres: { host, port, ca, superuser } });
  } catch (failure) {
    await stack.disposeAsync();
    throw failure;
  }
  return () => stack.disposeAsync();
}

/** LocalStack takes the messages of a queue by one batch after the other: more often, and what is ordered would pile up. */
const betweenTicksMs = 20_000;

/** EventBridge Scheduler, which LocalStack does not play, a little quicker: what a killed function has left undone is ordered again. */
async function tickUntil(over: AbortSignal, tick: () => Promise<void>): Promise<void> {
  while (!over.aborted) {
    // One that fails says so in its log, and the next one comes.
    await tick().catch(() => undefined);
    await sleep(betweenTicksMs, undefined, { signal: over }).catch(() => undefined);
  }
}
