import "./cli/node-version.mjs";
import { defineConfig } from "vitest/config";

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
