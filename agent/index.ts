import { KeyturnError } from "../core/errors.ts";
import type { AwsOptions } from "./aws-options.ts";
import type { KeyturnClient } from "./client.ts";
import { type AgentClock, type Chance, systemClock, thawingClock } from "./clock.ts";
import { KeyturnHost } from "./host.ts";
import { type AgentLog, guarded } from "./log.ts";
import type { Transport } from "./transport.ts";

export { KeyturnError } from "../core/errors.ts";
export { Secret } from "../core/secret.ts";
export { AgentSecret } from "./agent-secret.ts";
export type { AwsOptions, LambdaOptions, LambdaSecret } from "./aws-options.ts";
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

interface AwsConnection {
  readonly aws: AwsOptions;
  /** The fleet that this process's role is for. */
  readonly fleet: string;
}

export type HostOptions = CommonOptions &
  (
    | ((SocketOptions | TransportOptions) & {
        /** The name that the token was enrolled for. */
        readonly principal: string;
      })
    | (AwsConnection & {
        /** Where several processes share one identity, as on a virtual machine: a name that no other live one of them has. */
        readonly process?: string;
      })
  );

export type ConnectOptions = CommonOptions &
  (
    | ((SocketOptions | TransportOptions) & {
        /** The enrolled principal, or `principal/name`: no other live agent may have it. */
        readonly agent: string;
        readonly fleet: string;
      })
    | (AwsConnection & {
        /** Where several processes share one identity, as on a virtual machine: a name that no other live one of them has. */
        readonly agent?: string;
      })
  );

interface Opened {
  readonly transport: Transport;
  readonly principal: string;
}

const spreadDefaultMs = 1_000;

/** One agent in this process. Its secrets are read when they are first asked for; the service may still be starting. */
export async function connect(options: ConnectOptions): Promise<KeyturnClient> {
  const opened = "aws" in options ? openAws(options, options.agent) : openLocal(options, options.agent);
  const { transport, principal } = await opened;
  const host = openHost(options, transport, principal);
  return host.add(principal, options.fleet, () => host.close());
}

/** Several agents in this process, over one connection and with one identity: `host.agent("worker-7", "invoice-agents")`. */
export async function connectHost(options: HostOptions): Promise<KeyturnHost> {
  const opened = "aws" in options ? openAws(options, options.process) : openLocal(options, options.principal);
  const { transport, principal } = await opened;
  return openHost(options, transport, principal);
}

function openHost(
  options: CommonOptions & { readonly aws?: AwsOptions },
  transport: Transport,
  principal: string,
): KeyturnHost {
  try {
    return new KeyturnHost({
      transport,
      principal,
      cacheTtlMs: atLeast(1, "cacheTtlMs", options.cacheTtlMs ?? Number.POSITIVE_INFINITY),
      spreadMs: atLeast(0, "spreadMs", options.spreadMs ?? spreadDefaultMs),
      ...surroundings(options),
    });
  } catch (thrown) {
    transport.close();
    throw thrown;
  }
}

/** Each way to a service is loaded only where it is used. */
async function openLocal(
  options: CommonOptions & (SocketOptions | TransportOptions),
  principal: string,
): Promise<Opened> {
  if ("transport" in options) return { transport: options.transport, principal };
  const { LocalTransport } = await import("./local.ts");
  const { socket, token } = options;
  return { transport: new LocalTransport({ socket, token, ...surroundings(options) }), principal };
}

async function openAws(options: CommonOptions & AwsConnection, name: string | undefined): Promise<Opened> {
  const { aws, fleet } = options;
  const { openAwsTransport } = await import("./aws.ts").catch((cause: unknown) => {
    if (!(cause instanceof Error) || !("code" in cause) || cause.code !== "ERR_MODULE_NOT_FOUND") throw cause;
    const packages = ["eventbridge", "secrets-manager", "sqs", "sts"].map((one) => `@aws-sdk/client-${one}`);
    throw new KeyturnError("input-invalid", `\`aws\` needs these packages: ${packages.join(", ")}`, {
      cause,
    });
  });
  return openAwsTransport({ aws, fleet, name, ...surroundings(options) });
}

function surroundings(options: CommonOptions & { readonly aws?: AwsOptions }) {
  // A function stands still between its invocations, and with it the clock that only runs forward.
  const clock = options.clock ?? (options.aws?.lambda === undefined ? systemClock : thawingClock());
  return { clock, chance: options.chance ?? Math.random, log: guarded(options.log) };
}

function atLeast(least: number, name: string, value: number): number {
  if (value >= least) return value;
  throw new KeyturnError("input-invalid", `${name} must be at least ${least}`);
}
