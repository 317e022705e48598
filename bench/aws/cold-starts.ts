import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { bundles, entryFile, writeBundle } from "../../cdk/bundle.ts";
import { installed } from "../../integration/aws/install.ts";
import { median } from "../median.ts";

const rounds = 7;
const region = "us-east-1";
const credentials = { AWS_ACCESS_KEY_ID: "AKIAEXAMPLE", AWS_SECRET_ACCESS_KEY: "not-a-secret-of-anybody" };

export interface ColdStart {
  readonly name: string;
  /** All of its code, whether it is read at the start or when it is needed. */
  readonly bytes: number;
  /** From the start of its process until it can take an invocation, its clients made. */
  readonly ms: number;
  /** Against the Python function: the median of the rounds' ratios. */
  readonly ratio: number;
}

export interface ColdStarts {
  readonly functions: readonly ColdStart[];
  /** Of a function in Python with boto3, psycopg2 and one client, which reads nothing yet. */
  readonly pythonMs: number;
}

/** Every function of an installation, in turns with one in Python: code is read and clients are made, and nobody is asked anything. */
export async function benchColdStarts(): Promise<ColdStarts> {
  const python = await installed("python-function");
  const folder = mkdtempSync(join(tmpdir(), "keyturn-bench-cold-"));
  try {
    writeFileSync(join(folder, "keyturn.json"), JSON.stringify(deployment));
    for (const name of bundles().keys()) await writeBundle(name, folder);
    const ours = environmentOf(join(folder, "keyturn.json"));
    const theirs = { ...credentials, AWS_DEFAULT_REGION: region };
    const loader = join(import.meta.dirname, "load-function.mjs");
    const script = join(import.meta.dirname, "../../integration/aws/python-function/function.py");
    const pythonMs = () => start([join(python, "bin/python"), script], theirs);
    const codeOf = (name: string) => join(folder, name, entryFile);
    const functionMs = (name: string) => start([process.execPath, loader, codeOf(name)], ours);
    // What is read for the first time comes from the disk.
    await pythonMs();
    for (const name of bundles().keys()) await functionMs(name);
    const times: { readonly python: number; readonly functions: ReadonlyMap<string, number> }[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const before = await pythonMs();
      const functions = new Map<string, number>();
      for (const name of bundles().keys()) functions.set(name, await functionMs(name));
      times.push({ python: before, functions });
    }
    const functions = [...bundles().keys()].map((name) => ({
      name,
      bytes: sizeOf(join(folder, name)),
      ms: median(times.map(({ functions: all }) => all.get(name) ?? Number.NaN)),
      ratio: median(times.map(({ functions: all, python: its }) => (all.get(name) ?? Number.NaN) / its)),
    }));
    return { functions, pythonMs: median(times.map(({ python: its }) => its)) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Of all its files. */
function sizeOf(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}

/** Milliseconds until it says that it is ready. */
async function start([command = "", ...words]: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const began = performance.now();
  const child = spawn(command, words, { env, stdio: ["ignore", "pipe", "pipe"] });
  const [said, ended] = [text(child.stderr), once(child, "exit")];
  const isReady = once(child.stdout, "data").then(() => performance.now() - began);
  const first = await Promise.race([isReady, ended.then(() => undefined)]);
  await ended;
  if (first === undefined || child.exitCode !== 0) throw new Error(`it does not start: ${await said}`);
  return first;
}

const policy = {
  cacheTtlMs: 300_000,
  graceAtLeastMs: 300_000,
  graceAtMostMs: 3_600_000,
  onLaggards: "hold",
  confirmEveryMs: 60_000,
  stepDeadlineMs: 30_000,
  attemptsMax: 5,
  retryBaseMs: 1_000,
  retryMaxMs: 60_000,
};

const deployment = {
  version: 1,
  installation: "bench",
  account: "000000000000",
  region,
  secrets: [{ ref: "bench/db", type: "postgres-alternating", config: {}, policy, fleets: ["bench"] }],
};

/** Nothing listens there. */
const endpoint = "http://127.0.0.1:9";

function environmentOf(deployed: string): NodeJS.ProcessEnv {
  return {
    ...credentials,
    AWS_REGION: region,
    AWS_ENDPOINT_URL: endpoint,
    KEYTURN_DEPLOYMENT: deployed,
    KEYTURN_INSTALLATION: "bench",
    KEYTURN_TABLE: "journal",
    KEYTURN_BUS: "keyturn-bench",
    KEYTURN_AUDIT_BUCKET: "audit",
    KEYTURN_AUDIT_KEY: "alias/audit",
    KEYTURN_FINGERPRINTS: "fingerprints",
    KEYTURN_WORK_QUEUES: `${endpoint}/000000000000/keyturn-bench-`,
    KEYTURN_DEAD_LETTERS: `${endpoint}/000000000000/keyturn-bench-dead`,
    KEYTURN_INCIDENTS: `${endpoint}/000000000000/keyturn-bench-incidents`,
  };
}
