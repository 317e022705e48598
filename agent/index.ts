import { KeyturnError } from "../core/errors.ts";
import type { KeyturnClient } from "./client.ts";
import { type AgentClock, type Chance, systemClock } from "./clock.ts";
import { KeyturnHost } from "./host.ts";
import { type AgentLog, guarded } from "./log.ts";
import type { Transport } from "./transport.ts";

export { KeyturnError } from "../core/errors.ts";
export { Secret } from "../core/secret.ts";
export { AgentSecret } from "./agent-secret.ts";
export type { RotationNotice } from "./cache.ts";
export type { HeldSecret, KeyturnClient, RotationListener } from "./client.ts";
export type { AgentClock } from "./clock.ts";
export type { KeyturnHost } from "./host.ts";
export type { AgentLog } from "./log.ts";
export type { SecretSummary, Transport } from "./transport.ts";

interface CommonOptions {
  /** Never keep a value longer than this, whatever the service allows. */
  readonly cacheTtlMs?: number;
  /** Over how long the reads that follow an event are spread; those that follow an urgent one over a tenth of it. */
  readonly spreadMs?: number;
  readonly log?: AgentLog;
  readonly clock?: AgentClock;
  readonly chance?: Chance;
}

interface SocketOptions {
  /** The path of the local service's Unix socket. */
  readonly socket: string;
  /** The enrolment's token, or where it is read from at every request. */
  readonly token: string | (() => string | Promise<string>);
}

interface TransportOptions {
  readonly transport: Transport;
}

export type HostOptions = CommonOptions &
  (SocketOptions | TransportOptions) & {
    /** The name that the token was enrolled for. */
    readonly principal: string;
  };

export type ConnectOptions = CommonOptions &
  (SocketOptions | TransportOptions) & {
    /** The enrolled principal, or `principal/name`: no other live agent may have it. */
    readonly agent: string;
    readonly fleet: string;
  };

const spreadDefaultMs = 1_000;

/** One agent in this process. Its secrets are read when they are first asked for; the service may still be starting. */
export async function connect(options: ConnectOptions): Promise<KeyturnClient> {
  const host = await openHost(options, options.agent);
  return host.add(options.agent, options.fleet, () => host.close());
}

/** Several agents in this process, over one connection and with one token: `host.agent("worker-7", "invoice-agents")`. */
export function connectHost(options: HostOptions): Promise<KeyturnHost> {
  return openHost(options, options.principal);
}

async function openHost(
  options: CommonOptions & (SocketOptions | TransportOptions),
  principal: string,
): Promise<KeyturnHost> {
  const clock = options.clock ?? systemClock;
  const chance = options.chance ?? Math.random;
  return new KeyturnHost({
    transport: await openTransport(options, clock, chance),
    principal,
    cacheTtlMs: atLeast(1, "cacheTtlMs", options.cacheTtlMs ?? Number.POSITIVE_INFINITY),
    spreadMs: atLeast(0, "spreadMs", options.spreadMs ?? spreadDefaultMs),
    clock,
    chance,
    log: guarded(options.log),
  });
}

async function openTransport(
  options: SocketOptions | TransportOptions,
  clock: AgentClock,
  chance: Chance,
): Promise<Transport> {
  if ("transport" in options) return options.transport;
  // Loaded only where it is used: on a cloud, there is another one.
  const { LocalTransport } = await import("./local.ts");
  return new LocalTransport({ socket: options.socket, token: options.token, clock, chance });
}

function atLeast(least: number, name: string, value: number): number {
  if (value >= least) return value;
  throw new KeyturnError("input-invalid", `${name} must be at least ${least}`);
}
