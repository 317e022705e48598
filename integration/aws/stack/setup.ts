import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { variable } from "../../../canaries/run-folder.ts";
import { markValues } from "../../../canaries/watch.ts";
import type { AwsConfig } from "../aws-config.ts";
import { installed } from "../install.ts";
import { startLocalstack } from "../localstack.ts";
import { storedValues, writeLeftBehind } from "./left-behind.ts";

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
      await keep(localstack.config);
    } finally {
      await localstack[Symbol.asyncDispose]();
    }
  };
}

/** What goes with LocalStack is kept where it is looked for secret values, and so are the values that are looked for. */
async function keep(config: AwsConfig): Promise<void> {
  const run = process.env[variable];
  if (run === undefined) return;
  markValues(run, "aws/stack", await storedValues(config));
  await writeLeftBehind(config, mkdtempSync(join(tmpdir(), "keyturn-left-")));
}
