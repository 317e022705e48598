/** Patterns of unit tests' files that are about the process that they run in, or replace what others have loaded into it: each has its own. */
export const alone = ["canaries/*.test.ts", "cli/command.test.ts", "cli/who.test.ts", "telemetry/*.test.ts"];

/** Patterns of what takes longest; most of them wait for something. */
export const long = [
  "functions/secret-store-troubles.test.ts",
  "agent/aws.test.ts",
  "rotators/*.test.ts",
  "rotators/postgres/legacy.test.ts",
  "cdk/bundle.test.ts",
  "cli/revoke-cut.test.ts",
  "cdk/configurations.test.ts",
  "core/leaked.test.ts",
  "cli/aws.test.ts",
  "functions/ports.test.ts",
  "local/disaster-simulation.test.ts",
];

const inFolder = (folder: string, names: readonly string[]) =>
  names.map((name) => `integration/${folder}${name}.test.ts`);

/**
 * The same of the integration tests. Two of those that wait for the installation come before others: while it is deployed they hold places that others would load
 * the processor from, and the longest begins as soon as it can.
 */
export const longIntegrated = [
  ...inFolder("cli/", ["cli", "lost-journal", "commands", "doctor"]),
  ...inFolder("", ["simulation", "faults", "nasty-rotations", "network-messages"]),
  ...inFolder("cli/", ["restored-database", "help"]),
  ...inFolder("", ["faults-run", "network"]),
  ...inFolder("aws/installation/", ["fleet", "refused"]),
  ...inFolder("aws/stack/", ["installation", "cli"]),
  ...inFolder("aws/", ["iam", "strict-secrets-manager/service"]),
  ...inFolder("aws/stack/", ["audit", "secret-store"]),
  ...inFolder("aws/installation/", ["rolled", "order", "astray", "operated", "incidents"]),
  ...inFolder("aws/", ["journal"]),
  ...inFolder("aws/installation/", ["heard", "import", "revoke"]),
];
