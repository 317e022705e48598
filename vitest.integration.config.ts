import "./cli/node-version.mjs";
import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { isPatient } from "./integration/aws/installation/patience.ts";
import { fileOrder } from "./integration/file-order.ts";
import { longIntegrated } from "./vitest.order.ts";

// Very many processes are started: what was compiled for one is there for the next.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "node_modules/.cache/compiled");

const aws = "integration/aws/**/*.test.ts";
const stack = "integration/aws/stack/**/*.test.ts";
const installation = "integration/aws/installation/**/*.test.ts";
const patient = isPatient
  ? []
  : ["faults", "outages", "untagged"].map((name) => `integration/aws/installation/${name}.test.ts`);
const installed = "**/node_modules/**";
/**
 * They come after what has nothing to do with AWS, and many files have one process: the clients of AWS take long to load. What all of them wait for is the processor: who waits for anything else
 * asks for it twice a second, and not twenty times.
 */
const waiting = {
  isolate: false,
  sequence: { groupOrder: 1 },
  maxWorkers: 5,
  expect: { poll: { interval: 500 } },
};

/** A project's setup runs once before all files, and only if one of its own was asked for. */
export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Most of them wait for something: one more than a small machine has cores.
    maxWorkers: 3,
    sequence: { sequencer: fileOrder({ first: longIntegrated }) },
    projects: [
      {
        extends: true,
        test: {
          name: "integration",
          include: ["integration/**/*.test.ts"],
          exclude: [installed, aws],
          globalSetup: "canaries/global-setup.ts",
          setupFiles: "canaries/setup.ts",
        },
      },
      {
        extends: true,
        test: {
          name: "aws",
          ...waiting,
          include: [aws],
          exclude: [installed, stack, installation],
          globalSetup: ["canaries/global-setup.ts", "integration/aws/setup.ts"],
          setupFiles: "canaries/setup.ts",
        },
      },
      {
        extends: true,
        test: {
          name: "installation",
          ...waiting,
          include: [installation],
          exclude: [installed, ...patient],
          globalSetup: ["canaries/global-setup.ts", "integration/aws/installation/setup.ts"],
          setupFiles: "canaries/setup.ts",
        },
      },
      {
        extends: true,
        test: {
          name: "stack",
          ...waiting,
          include: [stack],
          globalSetup: ["canaries/global-setup.ts", "integration/aws/stack/setup.ts"],
          setupFiles: "canaries/setup.ts",
        },
      },
    ],
  },
});
