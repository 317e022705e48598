import { checkServerIdentity } from "node:tls";
import pg from "pg";
import { KeyturnError } from "../core/errors.ts";
import type { AgentSecret } from "./agent-secret.ts";
import type { KeyturnClient } from "./client.ts";
import { systemClock } from "./clock.ts";
import type { Lease } from "./connections.ts";
import { CredentialPool } from "./credential-pool.ts";
import { type AgentLog, guarded } from "./log.ts";
import { asConnectError, isAnswer, isCutOff, isRefusedLogin } from "./pg-errors.ts";

/** Passed to every connection as they are. */
type SessionOptions = Pick<
  pg.ClientConfig,
  | "application_name"
  | "enableChannelBinding"
  | "idle_in_transaction_session_timeout"
  | "keepAlive"
  | "keepAliveInitialDelayMillis"
  | "lock_timeout"
  | "options"
  | "query_timeout"
  | "statement_timeout"
  | "types"
>;

export interface PgPoolOptions extends SessionOptions {
  /** Connections at most, those of an old version included. 10 unless told. */
  readonly max?: number;
  /** The server's certificate is always verified; by the system's authorities unless a CA is given here. */
  readonly ssl?: {
    readonly ca?: string | Buffer;
    /** The name in the server's certificate, where it is not the host's. */
    readonly servername?: string;
  };
  /**
   * Every statement given to `query` may run twice without harm. Then one that was cut off is sent once more, on another
   * connection; otherwise a statement that may have run is never repeated. Statements on clients from `connect` never are.
   */
  readonly idempotent?: boolean;
  /** How long an unused connection is kept. 10 s unless told. */
  readonly idleTimeoutMillis?: number;
  /** How long a caller waits for a connection. 10 s unless told. */
  readonly connectionTimeoutMillis?: number;
  /** Prepares a new connection, before anyone gets it. */
  readonly onConnect?: (client: pg.Client) => Promise<void> | void;
  readonly log?: AgentLog;
}

const maxDefault = 10;
const idleDefaultMs = 10_000;
const connectDefaultMs = 10_000;
/** A server that is gone without a word never says that it has closed. */
const closeWithinMs = 2_000;

/**
 * A pool of node-postgres connections that follows a secret through its rotations. Nothing in flight is dropped: a new
 * version is proven by one connection before it is used, and a checked-out client of the old one stays until it is released.
 */
export function createPool(client: KeyturnClient, ref: string, options: PgPoolOptions = {}): RotatingPgPool {
  const { max = maxDefault } = options;
  if (!Number.isInteger(max) || max < 1) {
    throw new KeyturnError("input-invalid", "max must be a whole number of at least 1");
  }
  return new RotatingPgPool(client, ref, options);
}

/** The part of `pg.Pool` that runs queries: `query`, `connect`, `end`, and the counts. */
export class RotatingPgPool implements AsyncDisposable {
  readonly #ref: string;
  readonly #idempotent: boolean;
  readonly #pool: CredentialPool<pg.Client>;

  constructor(client: KeyturnClient, ref: string, options: PgPoolOptions) {
    this.#ref = ref;
    this.#idempotent = options.idempotent ?? false;
    this.#pool = new CredentialPool(client, ref, {
      protocol: {
        open: (secret, lost) => open(secret, options, lost),
        close,
        refused: isRefusedLogin,
        cutOff: isCutOff,
      },
      max: options.max ?? maxDefault,
      idleMs: options.idleTimeoutMillis ?? idleDefaultMs,
      waitMs: options.connectionTimeoutMillis ?? connectDefaultMs,
      clock: systemClock,
      chance: Math.random,
      log: guarded(options.log),
    });
  }

  get totalCount(): number {
    return this.#pool.total;
  }

  get idleCount(): number {
    return this.#pool.idle;
  }

  get waitingCount(): number {
    return this.#pool.waiting;
  }

  query<R extends unknown[] = unknown[]>(
    config: pg.QueryArrayConfig,
    values?: unknown[],
  ): Promise<pg.QueryArrayResult<R>>;
  query<R extends pg.QueryResultRow = pg.QueryResultRow>(
    config: string | pg.QueryConfig,
    values?: unknown[],
  ): Promise<pg.QueryResult<R>>;
  async query(config: string | pg.QueryConfig, values?: unknown[]): Promise<pg.QueryResult> {
    if (typeof values === "function" || (typeof config === "object" && "submit" in config)) {
      throw new KeyturnError(
        "input-invalid",
        "for cursors, streams and callbacks take a client by connect()",
      );
    }
    for (let sent = 1; ; sent += 1) {
      const lease = await this.#checkout();
      try {
        const result = await lease.connection.query(config, values);
        lease.release(false);
        return result;
      } catch (error) {
        const cut = lease.lost || isCutOff(error);
        lease.release(cut || !isAnswer(error));
        if (!cut) throw error;
        const recovering = this.#pool.distrust(lease.secret.version);
        if (!this.#idempotent || sent > 1) throw error;
        await recovering;
      }
    }
  }

  /** A client of one's own until it is released, for transactions. It keeps its login meanwhile, whatever is rotated. */
  async connect(): Promise<pg.PoolClient> {
    const lease = await this.#checkout();
    let released = false;
    const release = (broken?: Error | boolean) => {
      if (released) throw new KeyturnError("input-invalid", "this client was released before");
      released = true;
      lease.release(broken !== undefined && broken !== false);
    };
    return Object.assign(lease.connection, { release });
  }

  /** Resolves when every client was released and every connection is closed. Twice is once. */
  end(): Promise<void> {
    return this.#pool.end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }

  async #checkout(): Promise<Lease<pg.Client>> {
    try {
      return await this.#pool.checkout();
    } catch (error) {
      throw asConnectError(error, this.#ref);
    }
  }
}

async function open(secret: AgentSecret, options: PgPoolOptions, lost: () => void): Promise<pg.Client> {
  const client = new pg.Client(configOf(secret, options));
  // Nobody else may be listening, and an error that nobody listens to ends the process.
  client.on("error", lost);
  client.on("end", lost);
  try {
    await client.connect();
    await options.onConnect?.(client);
    return client;
  } catch (error) {
    client.connection.stream.destroy();
    throw error;
  }
}

function configOf(secret: AgentSecret, options: PgPoolOptions): pg.ClientConfig {
  const { max, ssl, idempotent, idleTimeoutMillis, connectionTimeoutMillis, onConnect, log, ...session } =
    options;
  const host = secret.field("host");
  const name = ssl?.servername ?? host;
  return {
    ...session,
    connectionTimeoutMillis: connectionTimeoutMillis ?? connectDefaultMs,
    // What comes from the secret comes last, and nothing else may name another server or another login.
    connectionString: undefined,
    host,
    port: portOf(secret),
    database: secret.field("database"),
    user: secret.field("username"),
    password: secret.field("password"),
    ssl: {
      ...ssl,
      rejectUnauthorized: true,
      // The driver would check against the host's name, whatever other name is given.
      checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
    },
  };
}

function portOf(secret: AgentSecret): number {
  const port = Number(secret.field("port"));
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port;
  throw new KeyturnError(
    "credential-invalid",
    `version ${secret.version} of ${secret.ref} has no usable port`,
  );
}

async function close(client: pg.Client): Promise<void> {
  const late = setTimeout(() => client.connection.stream.destroy(), closeWithinMs);
  try {
    await client.end();
  } finally {
    clearTimeout(late);
  }
}
