import "./cli/node-version.mjs";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["**/*.test.ts"],
    exclude: ["**/node_modules/**", "dist/**", "integration/**", ".aws-emulators/**"],
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
