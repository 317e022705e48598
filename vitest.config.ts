import "./cli/node-version.mjs";
import { join } from "node:path";
import { defineConfig } from "vitest/config";

// Very many processes are started: what was compiled for one is there for the next.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "node_modules/.cache/compiled");

export default defineConfig({
  test: {
    name: "unit",
    globalSetup: "canaries/global-setup.ts",
    setupFiles: "canaries/setup.ts",
    include: ["**/*.test.ts"],
    exclude: ["**/node_modules/**", "dist/**", "integration/**", ".aws-emulators/**"],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // One more than the cores of a small machine: some files wait for a service that never answers, and the others need not wait with them.
    maxWorkers: 3,
  },
});
