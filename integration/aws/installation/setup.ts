import type { TestProject } from "vitest/node";
import type { PostgresServer } from "../../postgres-server.ts";
import { databases, users } from "./secrets.ts";
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
    const { postgres, wires, ...told } = await startInstallation(stack, { databases, users });
    const { host, port, ca, superuser } = postgres;
    project.provide("installation", { ...told, postgres: { host, port, ca, superuser } });
  } catch (failure) {
    await stack.disposeAsync();
    throw failure;
  }
  return () => stack.disposeAsync();
}
