import "./cli/node-version.mjs";
import { defineConfig } from "vitest/config";

const aws = "integration/aws/**/*.test.ts";

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: "integration",
          include: ["integration/**/*.test.ts"],
          exclude: ["**/node_modules/**", aws],
        },
      },
      // Its setup installs and starts what all of its files share, and runs only if one of them does.
      { extends: true, test: { name: "aws", include: [aws], globalSetup: "integration/aws/setup.ts" } },
    ],
  },
});
