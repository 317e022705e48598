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
    maxWorkers: 2,
  },
});
