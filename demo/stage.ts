import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type OpenManifest, openManifest } from "../cli/open.ts";
import { runKeyturn, startKeyturn } from "../integration/keyturn-command.ts";
import { type PostgresServer, startPostgres } from "../integration/postgres-server.ts";
import { quicken } from "../integration/quicken.ts";

export const ref = "shop/db";
export const fleet = "agents";

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
  quicken(manifestPath, ref, { cacheTtl: "1s", atLeast: "1s", atMost: "60s" });
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

async function run<Result>(
  args: readonly string[],
  input: string,
  environment: NodeJS.ProcessEnv,
): Promise<Result> {
  const { code, stdout, stderr } = await runKeyturn(args, { input, environment });
  if (code === 0) return JSON.parse(stdout || "null");
  throw new Error(`keyturn ${args.join(" ")} ended with ${code}: ${stderr}${stdout}`);
}

async function startService(manifestPath: string, environment: NodeJS.ProcessEnv): Promise<Service> {
  const { child, ended } = startKeyturn(["-m", manifestPath, "serve", "--json"], { environment });
  process.once("exit", () => child.kill("SIGKILL"));
  let workerPid = 0;
  await new Promise<void>((resolve, reject) => {
    let serving = false;
    createInterface({ input: child.stderr ?? process.stdin }).on("line", (line) => {
      const { message, pid }: { message?: string; pid?: number } = line.startsWith("{")
        ? JSON.parse(line)
        : {};
      if (message === "worker ready") workerPid = pid ?? 0;
      if (message === "serving") serving = true;
      if (serving && workerPid !== 0) resolve();
    });
    void ended.then(({ stderr }) => reject(new Error(`the service ended: ${stderr}`)));
  });
  return {
    workerPid: () => workerPid,
    stop: async () => {
      child.kill("SIGTERM");
      await ended;
    },
  };
}
