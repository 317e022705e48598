import "./cli/node-version.mjs";
import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { fileOrder } from "./integration/file-order.ts";
import { alone, long } from "./vitest.order.ts";

// Very many processes are started: what was compiled for one is there for the next.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "node_modules/.cache/compiled");

const elsewhere = ["**/node_modules/**", "dist/**", "integration/**", ".aws-emulators/**"];

export default defineConfig({
  test: {
    globalSetup: "canaries/global-setup.ts",
    setupFiles: "canaries/setup.ts",
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // One more than the cores of a small machine: some files wait for a service that never answers, and the others need not wait with them.
    maxWorkers: 3,
    sequence: { sequencer: fileOrder({ first: long, last: alone }) },
    projects: [
      // One process for many files, for starting one and loading everything into it takes longer than most of them.
      {
        extends: true,
        test: { name: "unit", include: ["**/*.test.ts"], exclude: [...elsewhere, ...alone], isolate: false },
      },
      { extends: true, test: { name: "process", include: alone, exclude: elsewhere } },
    ],
  },
});
