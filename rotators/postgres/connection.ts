import { readFile } from "node:fs/promises";
import { type ConnectionOptions, checkServerIdentity } from "node:tls";
import type { Client } from "pg";
import { KeyturnError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import type { StepContext } from "../../core/rotator.ts";
import type { Secret } from "../../core/secret.ts";
import type { Admin, Connection } from "./config.ts";
import { type Speaker, sqlStateOf, translate } from "./errors.ts";

/** A login at the server. */
export interface Session {
  /** The server has proven, by SCRAM, that it knows this login's password. False where it asked for none. */
  readonly authenticated: boolean;
  /** False once the connection is of no more use. */
  readonly usable: boolean;
  /** Sends text as one simple query: one message, one transaction. */
  query<Row extends object>(text: string): Promise<readonly Row[]>;
  close(): Promise<void>;
}

export interface Login {
  readonly username: string;
  readonly password: Secret;
}

type Context = Pick<
  StepContext<Connection, Admin>,
  "config" | "admin" | "nextAdmin" | "clock" | "signal" | "defer"
>;

/** What our own sessions are called at the server. */
export const applicationName = "keyturn";
/** How long a server may take to see a connection off before it is torn. */
const farewellMs = 1_000;
/** For how many of the longest statements a session may have nothing to do, besides waiting for a login that proves something. */
const idleStatements = 3;
/** How much longer than the server's own limit we wait for it to speak: a frozen server keeps no limits. */
const silenceMs = 1_000;

/**
 * Logs in over TLS, always with the server's certificate and name checked. The password leaves only in the form of SCRAM: a
 * server that asks for it in clear or as md5 does not get it.
 */
export async function openSession(login: Login, speaker: Speaker, context: Context): Promise<Session> {
  const { config, clock, signal } = context;
  const at = { speaker, where: `${config.host}:${config.port}`, signal };
  const client = await prepare(login, speaker, context);
  const { connection } = client;
  let usable = true;
  let proven = false;
  const tear = () => {
    usable = false;
    connection.stream.destroy();
  };
  const fail = (thrown: unknown): KeyturnError => {
    const error = translate(thrown, at);
    // What the server itself has said leaves the connection as it was; anything else does not.
    if (error.cause === undefined) tear();
    return error;
  };
  client.on("error", tear);
  connection.once("authenticationSASLFinal", () => {
    proven = true;
  });
  signal.addEventListener("abort", tear);
  try {
    signal.throwIfAborted();
    // The driver checks the server's proof; without a match it does not connect.
    await client.connect();
  } catch (thrown) {
    signal.removeEventListener("abort", tear);
    tear();
    throw translate(thrown, at);
  }
  return {
    authenticated: proven,
    get usable() {
      return usable;
    },
    query: async <Row extends object>(text: string) => {
      try {
        signal.throwIfAborted();
        return (await client.query<Row>(text)).rows;
      } catch (thrown) {
        throw fail(thrown);
      }
    },
    close: async () => {
      await sayFarewell(client, clock);
      signal.removeEventListener("abort", tear);
      tear();
    },
  };
}

async function sayFarewell(client: Client, clock: Clock): Promise<void> {
  const gone = new AbortController();
  const late = clock.sleep(farewellMs, gone.signal).catch(() => undefined);
  await Promise.race([client.end().catch(() => undefined), late]);
  gone.abort();
}

/** Logs in, does the work, and logs out whatever becomes of it. */
export async function withSession<Result>(
  login: Login,
  speaker: Speaker,
  context: Context,
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  const session = await openSession(login, speaker, context);
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

const administering = new WeakMap<AbortSignal, Map<string, Promise<Session>>>();

/** The administering login's session, shared by all verbs of a step and closed at the step's end. */
export async function administer(context: Context): Promise<Session> {
  const { config, admin, signal } = context;
  const sessions = administering.get(signal) ?? new Map<string, Promise<Session>>();
  administering.set(signal, sessions);
  const key = JSON.stringify([config.host, config.port, config.database, admin.username]);
  const known = await sessions.get(key)?.catch(() => undefined);
  if (known?.usable) return known;
  const opening = openAdministrator(context);
  sessions.set(key, opening);
  const session = await opening;
  context.defer(() => session.close());
  return session;
}

/** The administering login may be changing at this very moment; then what else it may be is tried, as long as there is something. */
async function openAdministrator(context: Context): Promise<Session> {
  let admin: Admin | undefined = context.admin;
  for (;;) {
    try {
      return await openSession(admin, "administrator", context);
    } catch (error) {
      admin = sqlStateOf(error) === "28P01" ? await context.nextAdmin?.() : undefined;
      if (admin === undefined) throw error;
    }
  }
}

async function prepare(login: Login, speaker: Speaker, { config }: Context): Promise<Client> {
  const { default: pg } = await import("pg").catch(() => {
    throw new KeyturnError("config-invalid", "PostgreSQL needs the package pg: npm install pg");
  });
  let scram = false;
  const client = new pg.Client({
    host: config.host,
    port: config.port,
    database: config.database,
    user: login.username,
    password: () => {
      if (scram) return login.password.reveal();
      throw new KeyturnError(
        "not-authenticated",
        `the server asks for the password of ${login.username} in another form than SCRAM, and did not get it`,
      );
    },
    ssl: await tlsOptions(config),
    sslnegotiation: "postgres",
    // Binds the proof to the server's certificate wherever the server offers it.
    enableChannelBinding: true,
    application_name: applicationName,
    client_encoding: "UTF8",
    options: optionsOf(speaker, config),
    connectionTimeoutMillis: config.connectTimeoutMs,
    statement_timeout: config.statementTimeoutMs,
    lock_timeout: config.lockTimeoutMs,
    idle_in_transaction_session_timeout: config.statementTimeoutMs,
    query_timeout: config.statementTimeoutMs + silenceMs,
    keepAlive: true,
  });
  // Ours come before the driver's own listeners, which ask for the password.
  client.connection.once("authenticationSASL", () => {
    scram = true;
  });
  return client;
}

/**
 * A client that vanished without a word is noticed by nobody, and its session would stand there with all the rights of the login, and count as
 * somebody who still needs it: the server ends it. It is told so with the login, for no message after that is sure to arrive.
 */
function optionsOf(speaker: Speaker, { connectTimeoutMs, statementTimeoutMs }: Connection): string {
  const idleMs = idleStatements * statementTimeoutMs + connectTimeoutMs + farewellMs;
  const limit = `-c idle_session_timeout=${idleMs}`;
  return speaker === "administrator" ? `${administratorOptions} ${limit}` : limit;
}

/**
 * A database may have been given settings of its own. The fence needs READ COMMITTED; and with another search path, someone
 * who owns the database could put a function of his own in front of the system's and have the administrator run it.
 */
const administratorOptions = [
  "-c default_transaction_isolation=read\\ committed",
  "-c default_transaction_read_only=off",
  "-c search_path=pg_catalog",
  "-c standard_conforming_strings=on",
].join(" ");

async function tlsOptions({ host, tls }: Connection): Promise<ConnectionOptions> {
  const name = tls.servername ?? host;
  return {
    ...(tls.ca === undefined ? {} : { ca: await readAuthority(tls.ca) }),
    rejectUnauthorized: true,
    minVersion: "TLSv1.2",
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
  };
}

async function readAuthority(ca: string): Promise<string> {
  if (ca.includes("-----BEGIN")) return ca;
  try {
    return await readFile(ca, "utf8");
  } catch {
    throw new KeyturnError("config-invalid", `tls.ca: cannot read ${ca}`);
  }
}
