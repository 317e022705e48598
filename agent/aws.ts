import { randomUUID } from "node:crypto";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import type { AgentReport } from "../core/fleet.ts";
import {
  HostMessage,
  type HostNotice,
  type HostSecret,
  hostEvents,
  hostId,
  hostQueueName,
} from "../core/host-messages.ts";
import type { ReportReply, SecretReply } from "../core/protocol.ts";
import { AwsBus } from "./aws-bus.ts";
import { whoAmI } from "./aws-identity.ts";
import type { AwsOptions } from "./aws-options.ts";
import { AwsQueue } from "./aws-queue.ts";
import { Readable } from "./aws-readable.ts";
import { AwsReports } from "./aws-reports.ts";
import { AwsSecrets } from "./aws-secrets.ts";
import { type AgentClock, backoffMs, type Chance, pause } from "./clock.ts";
import type { AgentLog } from "./log.ts";
import type { SecretSummary, Transport } from "./transport.ts";

interface OpenOptions {
  readonly aws: AwsOptions;
  readonly fleet: string;
  /** The name of this process, where several share an identity. */
  readonly name: string | undefined;
  readonly clock: AgentClock;
  readonly chance: Chance;
  readonly log: AgentLog;
}

interface Named extends OpenOptions {
  readonly principal: string;
  readonly host: string;
}

/** The way to an installation on AWS, and the name that this process has there. */
export async function openAwsTransport(
  options: OpenOptions,
): Promise<{ readonly transport: Transport; readonly principal: string }> {
  const principal = await whoAmI(options.aws);
  // The environments of a function have one identity, and come and go: what one says must not count for another.
  const own = options.aws.lambda === undefined ? undefined : randomUUID();
  const host = hostId(principal, options.name ?? own);
  return { transport: new AwsTransport({ ...options, principal, host }), principal: host };
}

/** A queue is made within a second or two, and a minute after it was deleted. */
const findForMs = 15_000;
const findBaseMs = 250;
const findMaxMs = 2_000;
const enrolEveryMs = 20_000;
/** So often a host says that it listens, and hears what it may read by now. */
const pulseMs = 15 * 60_000;

/**
 * Reads from Secrets Manager, speaks on the installation's bus, and hears by a queue that the service makes for this process. Reading and
 * reporting need nothing of the service but what AWS keeps up itself; only holds and news of rotations do.
 */
class AwsTransport implements Transport {
  readonly #options: Named;
  readonly #bus: AwsBus;
  readonly #secrets: AwsSecrets;
  /** A Lambda function has none. */
  readonly #queue: AwsQueue | undefined;
  readonly #readable: Readable;
  readonly #reports: AwsReports;
  readonly #closing = new AbortController();
  #enrolledAt = Number.NEGATIVE_INFINITY;

  constructor(options: Named) {
    const { aws, fleet, host, clock, log } = options;
    this.#options = options;
    this.#bus = new AwsBus(options);
    this.#secrets = new AwsSecrets(aws);
    this.#reports = new AwsReports({ bus: this.#bus, host, clock, closing: this.#closing.signal });
    const queueName = hostQueueName(aws.installation, fleet, host);
    this.#queue = aws.lambda === undefined ? new AwsQueue(aws, queueName) : undefined;
    const unheard = () =>
      log("warn", "the service does not say what may be read; reading goes on without", { fleet });
    this.#readable = new Readable({ fleet, clock, ask: () => this.#enrol(), unheard });
  }

  async list(): Promise<readonly SecretSummary[]> {
    this.#assertOpen();
    const { lambda } = this.#options.aws;
    if (lambda !== undefined) return Object.entries(lambda.secrets).map(([ref, { type }]) => ({ ref, type }));
    return (await this.#readable.all()).map(({ ref, type }) => ({ ref, type }));
  }

  async read(ref: string, stage: "current" | "pending"): Promise<SecretReply | undefined> {
    this.#assertOpen();
    const { overlap, cacheTtlMs } = await this.#about(ref);
    if (stage === "pending" && overlap !== "cutover") {
      throw new KeyturnError(
        "access-denied",
        `${ref} keeps its old value until all have the new one: read current`,
      );
    }
    const found = await this.#secrets.read(ref, stage).catch((thrown: unknown) => {
      const error = asKeyturnError(thrown);
      // Only fleets of cutover types may, and whoever asks does not always know.
      const isForbidden = stage === "pending" && error.code === "role-lacks-rights";
      throw isForbidden ? new KeyturnError("access-denied", error.message) : error;
    });
    return found && { ref, ...found, overlap, cacheTtlMs };
  }

  async report(reports: readonly AgentReport[], signal?: AbortSignal): Promise<ReportReply> {
    this.#assertOpen();
    for (const report of reports) await this.#checkReport(report);
    return this.#reports.report(reports, signal);
  }

  async events(signal: AbortSignal): Promise<AsyncIterable<string>> {
    this.#assertOpen();
    const either = AbortSignal.any([signal, this.#closing.signal]);
    if (this.#queue === undefined) return silence(either);
    await this.#enrol();
    await this.#find(this.#queue, either);
    return this.#lines(this.#queue, either);
  }

  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#queue?.close();
    this.#secrets.close();
    void this.#takeLeave();
  }

  async #about(ref: string): Promise<HostSecret> {
    const { lambda } = this.#options.aws;
    if (lambda === undefined) return this.#readable.about(ref);
    const secret = lambda.secrets[ref];
    if (secret !== undefined) return { ref, ...secret, cacheTtlMs: lambda.maxStaleMs };
    throw new KeyturnError("input-invalid", `aws.lambda.secrets does not name ${ref}`);
  }

  /** The bus would take it all the same, and nobody would hear of it. */
  async #checkReport({ ref, fleet, holds }: AgentReport): Promise<void> {
    const mine = this.#options.fleet;
    if (fleet !== mine) {
      throw new KeyturnError(
        "access-denied",
        `this process speaks for the fleet ${mine}, and not for ${fleet}`,
      );
    }
    if (this.#queue === undefined && holds.length > 0) {
      throw new KeyturnError(
        "request-refused",
        "a Lambda function cannot hold a version: nobody could answer it",
      );
    }
    if (this.#readable.lacks(ref)) await this.#readable.about(ref);
  }

  /** Says that this process listens. Twice within seconds is once: reads, streams and the pulse all ask for it. */
  async #enrol(): Promise<void> {
    const { clock, host } = this.#options;
    const before = this.#enrolledAt;
    if (clock.now() - before < enrolEveryMs) return;
    this.#enrolledAt = clock.now();
    try {
      await this.#bus.say([{ type: hostEvents.enrolled, detail: { host } satisfies HostNotice }]);
    } catch (thrown) {
      this.#enrolledAt = before;
      throw thrown;
    }
  }

  async #find(queue: AwsQueue, signal: AbortSignal): Promise<void> {
    const { clock, chance, host } = this.#options;
    const begunAt = clock.now();
    for (let failures = 0; !(await queue.find(signal)); failures += 1) {
      if (clock.now() - begunAt > findForMs) {
        throw new KeyturnError("bus-unavailable", `the service has not made the queue of ${host} yet`);
      }
      await pause(clock, backoffMs(failures, findBaseMs, findMaxMs, chance));
    }
  }

  async *#lines(queue: AwsQueue, signal: AbortSignal): AsyncGenerator<string> {
    const { clock, chance, log, host } = this.#options;
    const pulse = pulseMs * (0.9 + chance() / 10);
    while (!signal.aborted) {
      const received = await queue.receive(signal);
      if (received === undefined) {
        log("warn", "the queue of this process is gone: it enrols again", { host });
        this.#enrolledAt = Number.NEGATIVE_INFINITY;
        return;
      }
      for (const { body, isDirect } of received) {
        if (isDirect) this.#hear(body);
        else yield eventIn(body);
      }
      if (clock.now() - this.#enrolledAt > pulse) await this.#enrol();
    }
  }

  #hear(body: string): void {
    const { success, data: message } = HostMessage.safeParse(parseJson(body));
    if (!success) this.#options.log("warn", "the service sent a message that is none", {});
    else if (message.say === "welcome") this.#readable.hear(message.secrets);
    else this.#reports.hear(message.answer, message.refusedHolds);
  }

  /** Nobody waits for it: a host that says nothing is found to be gone in the end. */
  async #takeLeave(): Promise<void> {
    const { host } = this.#options;
    if (Number.isFinite(this.#enrolledAt)) {
      const detail = { host } satisfies HostNotice;
      await this.#bus.say([{ type: hostEvents.left, detail }]).catch(() => undefined);
    }
    this.#bus.close();
  }

  #assertOpen(): void {
    if (this.#closing.signal.aborted) throw new KeyturnError("request-refused", "the client was closed");
  }
}

/** A rule may pass on an event as it is, or with what EventBridge puts around it. */
function eventIn(body: string): string {
  const { detail }: { readonly detail?: unknown } = Object(parseJson(body));
  return detail === undefined ? body : JSON.stringify(detail);
}

/** A stream on which nothing is ever said. */
async function* silence(signal: AbortSignal): AsyncGenerator<string> {
  if (!signal.aborted) {
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  }
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
