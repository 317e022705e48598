import type { TestProject } from "vitest/node";
import type { AwsConfig } from "../aws-config.ts";
import { installed } from "../install.ts";
import { startLocalstack } from "../localstack.ts";
import { keepLeftBehind } from "./left-behind.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Where the LocalStack is that all files of this folder share. Each names what it makes there by names of its own. */
    readonly localstack: AwsConfig;
  }
}

/** Once, before the first file; a start takes seconds. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await installed("dynamodb-local");
  await installed("localstack");
  const localstack = await startLocalstack();
  project.provide("localstack", localstack.config);
  return async () => {
    try {
      await keepLeftBehind(localstack.config);
    } finally {
      await localstack[Symbol.asyncDispose]();
    }
  };
}
