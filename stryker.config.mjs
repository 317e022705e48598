/** How mutants are made and tried; `mutation/main.ts` says which, and against which tests. */
export default {
  testRunner: "vitest",
  plugins: ["@stryker-mutator/vitest-runner"],
  coverageAnalysis: "perTest",
  // Runs share a machine with other work: a mutant that is merely slow must not count as one that never ends.
  concurrency: 1,
  timeoutMS: 20_000,
  ignorePatterns: [".aws-emulators"],
  incremental: true,
  // This compiler's configuration cannot be read, and need not be: types are gone before anything runs.
  tsconfigFile: "none.json",
  reporters: ["json"],
  logLevel: "warn",
  warnings: { slow: false },
  allowConsoleColors: false,
};
