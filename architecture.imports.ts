import { folderOf, type Import, importsOf, isCode, isTest, type SourceFile } from "./architecture.source.ts";

interface Room {
  /** The folders and files of ours that it may import, itself included. */
  readonly ours: readonly string[];
  readonly packages: readonly string[];
  /** Node's own modules; all of them where nothing is said. */
  readonly node?: readonly string[];
  /** Packages that one file alone may import. */
  readonly only?: Readonly<Record<string, string>>;
  /** What one file may import besides: a way to a cloud. */
  readonly files?: Readonly<
    Record<string, { readonly ours: readonly string[]; readonly packages: readonly string[] }>
  >;
}

/**
 * Drivers are optional: whoever has no such target does not install them. A credential type needs one at most, in however many packages its
 * maker has put it: AWS has one for each of its services.
 */
const drivers = [["pg"], ["@aws-sdk/client-iam", "@aws-sdk/client-sts"]];

/** What the side of AWS may use; it is bundled for each function, with nothing in it that the function does not import. */
const awsClients = [
  "@aws-sdk/client-dynamodb",
  "@aws-sdk/client-eventbridge",
  "@aws-sdk/client-iam",
  "@aws-sdk/client-kms",
  "@aws-sdk/client-lambda",
  "@aws-sdk/client-s3",
  "@aws-sdk/client-secrets-manager",
  "@aws-sdk/client-sns",
  "@aws-sdk/client-sqs",
  "@aws-sdk/client-sts",
];

/** GitHub's own, for its signatures and its apps. */
const github = ["@octokit/auth-app", "@octokit/request", "@octokit/webhooks-methods"];

const cdkModules = [
  "aws-cdk-lib",
  ...[
    "cloudwatch",
    "cloudwatch-actions",
    "dynamodb",
    "ec2",
    "events",
    "iam",
    "kms",
    "lambda",
    "lambda-event-sources",
    "logs",
    "s3",
    "scheduler",
    "scheduler-targets",
    "secretsmanager",
    "sns",
    "sqs",
  ].map((service) => `aws-cdk-lib/aws-${service}`),
  "constructs",
];

const rooms: Readonly<Record<string, Room>> = {
  core: {
    ours: ["core"],
    packages: ["zod/mini", "zod/v4/locales/en.js"],
    node: ["node:crypto", "node:util"],
  },
  rotators: { ours: ["rotators", "core"], packages: ["zod/mini", ...drivers.flat()] },
  functions: {
    ours: ["functions", "core", "rotators", "manifest", "telemetry"],
    packages: ["zod/mini", "aws-lambda", "dataloader", ...awsClients, ...github],
  },
  // It makes the surroundings of functions/, and of that folder it only knows how the table is laid out, and by which words lines of the log are counted.
  cdk: {
    ours: ["cdk", "core", "manifest", "rotators", "functions/journal-table.ts", "functions/log-lines.ts"],
    packages: cdkModules,
    // It runs where the package is built.
    files: {
      "cdk/bundle.ts": { ours: [], packages: ["esbuild"] },
      "cdk/bundle-plugins.ts": { ours: [], packages: ["esbuild"] },
    },
  },
  manifest: { ours: ["manifest", "core"], packages: ["croner", "yaml", "zod", "zod/mini"] },
  local: {
    ours: ["local", "core", "manifest", "notify/ledger.ts", "notify/notice.ts"],
    packages: ["zod/mini"],
  },
  agent: {
    ours: [
      "agent",
      "core/errors.ts",
      "core/events.ts",
      "core/fleet.ts",
      "core/host-messages.ts",
      "core/protocol.ts",
      "core/secret.ts",
      // What AWS means by an error, and by a label, is the same for whoever reads. They import no client.
      "functions/aws-errors.ts",
      "functions/secret-stages.ts",
    ],
    packages: ["zod/mini"],
    // Each is optional: whoever imports `keyturn/agent` has none of them.
    only: {
      pg: "agent/pg.ts",
      "@aws-sdk/client-eventbridge": "agent/aws-bus.ts",
      "@aws-sdk/client-secrets-manager": "agent/aws-secrets.ts",
      "@aws-sdk/client-sqs": "agent/aws-queue.ts",
      "@aws-sdk/client-sts": "agent/aws-identity.ts",
    },
  },
  notify: { ours: ["notify", "core", "manifest"], packages: ["p-retry", "standardwebhooks", "zod/mini"] },
  telemetry: {
    ours: ["telemetry", "core"],
    packages: ["@opentelemetry/api", "@opentelemetry/sdk-node", "pino"],
  },
  cli: {
    ours: ["cli", "core", "rotators", "manifest", "local", "notify", "telemetry"],
    packages: ["cli-table3", "commander", "log-update", "zod/mini"],
    // Loaded where the manifest has a store on AWS, and only then.
    files: {
      "cli/aws.ts": { ours: ["functions"], packages: [...awsClients, "@aws-sdk/credential-providers"] },
      "cli/aws-import.ts": { ours: ["functions"], packages: ["@aws-sdk/client-lambda"] },
      "cli/aws-gone.ts": { ours: [], packages: ["@aws-sdk/client-sqs"] },
    },
  },
};

/** They use everything, and nothing that is shipped uses them. */
const free = [
  "",
  "demo",
  "canaries",
  "bench",
  "faults",
  "mutation",
  "dashboards",
  "integration",
  ".ci",
  "examples",
  "schemas",
  "docs",
];

/** It chooses at run time between the sources of a checkout and what was built from them. */
const launcher = "cli/keyturn.mjs";

export function checkImports(files: readonly SourceFile[]): readonly string[] {
  return files.filter(isCode).flatMap((file) => {
    const folder = folderOf(file.path);
    const room = rooms[folder];
    if (room === undefined)
      return free.includes(folder) ? [] : [`${file.path}: nobody has said what ${folder}/ may import`];
    if (isTest(file.path) || file.path === launcher) return [];
    const imports = importsOf(file);
    const found = imports.flatMap((one) => {
      const breach = breachOf(one, room, file);
      return breach === undefined ? [] : [`${file.path}: line ${one.line}: ${breach}`];
    });
    const used = drivers
      .map((driver) => driver.filter((name) => imports.some(({ target }) => target === name)))
      .filter((names) => names.length > 0);
    return used.length > 1
      ? [...found, `${file.path}: more than one driver: ${used.flat().join(", ")}`]
      : found;
  });
}

function breachOf({ target, isOurs }: Import, room: Room, file: SourceFile): string | undefined {
  if (target === undefined) return "imports what is only known at run time";
  const more = room.files?.[file.path] ?? { ours: [], packages: [] };
  if (isOurs) {
    if (isTest(target)) return `imports ${target}, which is for tests`;
    const allowed = [...room.ours, ...more.ours].some(
      (ours) => target === ours || target.startsWith(`${ours}/`),
    );
    return allowed ? undefined : `imports ${target}`;
  }
  if (target.startsWith("node:")) {
    return room.node === undefined || room.node.includes(target) ? undefined : `imports ${target}`;
  }
  const allowed = [...room.packages, ...more.packages].includes(target) || room.only?.[target] === file.path;
  return allowed ? undefined : `imports the package ${target}`;
}

/** The folders that have a rule of their own, so that a test can ask whether it has seen all of them. */
export const ruledFolders: readonly string[] = Object.keys(rooms);
