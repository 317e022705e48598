import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { AwsConfig } from "../aws-config.ts";

interface Where {
  readonly aws: AwsConfig;
  /** What `bundleHosts` has made. */
  readonly script: string;
  readonly installation: string;
  readonly fleet: string;
  /** The secret that they read. */
  readonly ref: string;
  /** The authority of the secret's database: with it they log in there, and go on asking it. */
  readonly ca?: string;
}

interface Queries {
  readonly done: number;
  readonly failed: number;
}

/** Processes with hosts of a fleet (`hosts.ts`), and what they have said. */
export class HostProcesses {
  readonly children: ChildProcess[] = [];
  readonly errors: string[] = [];
  /** By host: the last version that it said it had, and when. */
  readonly seen = new Map<string, { readonly version: string; readonly at: number }>();
  readonly held: string[] = [];
  readonly #where: Where;
  #counted: Queries[] = [];

  constructor(where: Where) {
    this.#where = where;
  }

  start(prefix: string, count: number): void {
    const { aws, script, installation, fleet, ref, ca } = this.#where;
    const told = [installation, fleet, ref, prefix, String(count), ...(ca === undefined ? [] : [ca])];
    const child = spawn(process.execPath, [script, ...told], {
      stdio: ["pipe", "pipe", "pipe"],
      env: {
        PATH: process.env.PATH,
        NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
        AWS_ENDPOINT_URL: aws.endpoint,
        AWS_REGION: aws.region,
        AWS_ACCESS_KEY_ID: aws.credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: aws.credentials.secretAccessKey,
        // The SDK tells it with every call.
        AWS_SDK_UA_APP_ID: hostsApp,
      },
    });
    this.children.push(child);
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { host, version, at, held, queries } = JSON.parse(line);
      if (queries !== undefined) this.#counted.push(queries);
      else if (held === undefined) this.seen.set(host, { version, at });
      else this.held.push(held);
    });
    child.stderr.on("data", (chunk) => this.errors.push(String(chunk)));
  }

  hosts(): readonly string[] {
    return [...this.seen.keys()].toSorted();
  }

  /** How long after a moment each of them said so, the first one first. */
  lagsSince(moment: number): readonly number[] {
    return [...this.seen.values()].map(({ at }) => at - moment).toSorted((one, other) => one - other);
  }

  /** The queries of all of them, until now. */
  async queries(): Promise<Queries> {
    this.#counted = [];
    for (const { stdin } of this.children) stdin?.write("count\n");
    while (this.#counted.length < this.children.length) await sleep(20);
    const sum = (key: keyof Queries) => this.#counted.reduce((total, one) => total + one[key], 0);
    return { done: sum("done"), failed: sum("failed") };
  }

  /** Asks the processes to end, waits until they have, and gives their exit codes. */
  async end(children: readonly ChildProcess[] = this.children): Promise<readonly (number | null)[]> {
    for (const child of children) child.stdin?.end();
    await Promise.all(children.map((child) => child.exitCode ?? once(child, "exit")));
    return children.map(({ exitCode }) => exitCode);
  }

  kill(): void {
    for (const child of this.children) child.kill("SIGKILL");
  }
}

/** How the calls of these processes are known. */
export const hostsApp = "keyturn-hosts";
