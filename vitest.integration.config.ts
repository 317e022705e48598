import "./cli/node-version.mjs";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { include: ["integration/**/*.test.ts"], testTimeout: 60_000, hookTimeout: 60_000 },
});
