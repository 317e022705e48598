import { randomBytes } from "node:crypto";
import { expect } from "vitest";
import { plantedVariable, variable } from "./run-folder.ts";
import { inEnvironment, suiteOf } from "./suites.ts";
import { markValues, watch } from "./watch.ts";

/** Runs before each file of tests, in its process. */
const folder = process.env[variable];
if (folder !== undefined) {
  const suite = suiteOf(expect.getState().testPath ?? "");
  watch(folder, suite);
  // Secrets are in the environments of those who run things; nothing that runs there may repeat what it finds.
  const planted = randomBytes(24).toString("base64url");
  process.env[plantedVariable] = planted;
  markValues(folder, inEnvironment(suite), [planted]);
}
