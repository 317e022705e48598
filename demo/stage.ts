import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseDocument } from "yaml";
import { type OpenManifest, openManifest } from "../cli/open.ts";
import { type PostgresServer, startPostgres } from "../integration/postgres-server.ts";

export const ref = "shop/db";
export const fleet = "agents";
const keyturn = fileURLToPath(new URL("../cli/keyturn.mjs", import.meta.url));

/** A database, a manifest and a store of its own, made with the commands that a person uses. */
export interface Stage extends AsyncDisposable {
  readonly postgres: PostgresServer;
  readonly manifestPath: string;
  readonly directory: string;
  readonly opened: OpenManifest;
  /** Runs the command with that standard input; what it printed, parsed. Throws if it failed. */
  keyturn<Result>(args: readonly string[], input?: string): Promise<Result>;
  serve(): Promise<Service>;
}

export interface Service {
  workerPid(): number;
  stop(): Promise<void>;
}

export async function setStage(options: { maxConnections: number }): Promise<Stage> {
  const directory = mkdtempSync(join(tmpdir(), "keyturn-demo-"));
  const manifestPath = join(directory, "keyturn.yaml");
  // The key is kept apart from the data, here as everywhere.
  const environment = { ...process.env, XDG_CONFIG_HOME: join(directory, "config") };
  process.env.XDG_CONFIG_HOME = environment.XDG_CONFIG_HOME;
  const postgres = await startPostgres({ maxConnections: options.maxConnections });
  const command = <Result>(args: readonly string[], input = "") =>
    run<Result>(["-m", manifestPath, ...args], input, environment);

  const admin = { username: "keyturn_admin", password: randomBytes(18).toString("base64url") };
  const superuser = await postgres.client();
  await superuser.query(`CREATE ROLE ${admin.username} LOGIN CREATEROLE PASSWORD '${admin.password}'`);
  const init = [
    "init",
    ref,
    "--host",
    postgres.host,
    "--port",
    String(postgres.port),
    "--database",
    postgres.database,
  ];
  const { sql } = await command<{ sql: string }>(
    [...init, "--owner", "shop", "--ca", postgres.caPath, "--fleet", fleet, "--json"],
    `${admin.username}\n${admin.password}\n`,
  );
  await superuser.query(sql);
  await superuser.query(`CREATE TABLE orders (id serial PRIMARY KEY, note text); ALTER TABLE orders OWNER TO shop;
    INSERT INTO orders (note) SELECT 'order ' || n FROM generate_series(1, 100) n`);
  await superuser.end();
  quicken(manifestPath);
  const opened = await openManifest(manifestPath);
  return {
    postgres,
    manifestPath,
    directory,
    opened,
    keyturn: command,
    serve: () => startService(manifestPath, environment),
    [Symbol.asyncDispose]: async () => {
      await opened[Symbol.asyncDispose]();
      await postgres.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A demo has a minute: agents keep a value for one second instead of sixty. */
function quicken(path: string): void {
  const document = parseDocument(readFileSync(path, "utf8"));
  document.setIn(["secrets", ref, "cacheTtl"], "1s");
  document.setIn(["secrets", ref, "grace"], { atLeast: "1s", atMost: "60s" });
  writeFileSync(path, document.toString());
}

async function run<Result>(
  args: readonly string[],
  input: string,
  environment: NodeJS.ProcessEnv,
): Promise<Result> {
  const child = spawn(process.execPath, [keyturn, ...args], {
    env: environment,
    stdio: ["pipe", "pipe", "pipe"],
  });
  const output = collect(child.stdout);
  const errors = collect(child.stderr);
  child.stdin.end(input);
  const code = await exited(child);
  if (code === 0) return JSON.parse((await output) || "null");
  throw new Error(`keyturn ${args.join(" ")} ended with ${code}: ${await errors}${await output}`);
}

async function startService(manifestPath: string, environment: NodeJS.ProcessEnv): Promise<Service> {
  const child = spawn(process.execPath, [keyturn, "-m", manifestPath, "serve", "--json"], {
    env: environment,
    stdio: ["ignore", "ignore", "pipe"],
  });
  process.once("exit", () => child.kill("SIGKILL"));
  let workerPid = 0;
  const lines: string[] = [];
  await new Promise<void>((resolve, reject) => {
    let serving = false;
    createInterface({ input: child.stderr }).on("line", (line) => {
      lines.push(line);
      const { message, pid }: { message?: string; pid?: number } = line.startsWith("{")
        ? JSON.parse(line)
        : {};
      if (message === "worker ready") workerPid = pid ?? 0;
      if (message === "serving") serving = true;
      if (serving && workerPid !== 0) resolve();
    });
    child.once("exit", () => reject(new Error(`the service ended: ${lines.join("\n")}`)));
  });
  return {
    workerPid: () => workerPid,
    stop: async () => {
      child.kill("SIGTERM");
      await exited(child);
    },
  };
}

async function exited(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode;
  return new Promise((resolve) => child.once("close", resolve));
}

async function collect(stream: NodeJS.ReadableStream): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += String(chunk);
  return text;
}
