import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import type { StrictSecretsManager } from "./service.ts";
import { ServiceError } from "./service-error.ts";

/** What befalls a call. */
export type Fault =
  /** It is answered so, and not carried out. */
  | { readonly error: string; readonly message?: string; readonly status?: number }
  /** It is carried out, and nobody hears of it. */
  | "reply lost"
  /** It is never carried out: the connection ends. */
  | "cut"
  /** Nothing ever comes back. */
  | "black hole"
  | { readonly delayMs: number };

export interface Call {
  readonly operation: string;
  /** What went wrong, or undefined. */
  readonly error: string | undefined;
}

/** `StrictSecretsManager` behind AWS JSON 1.1, so that the real SDK speaks to it. The region is the one that the request was signed for. */
export class StrictServer {
  /** Every call that was carried out or refused, in order. */
  readonly calls: Call[] = [];
  readonly #service: StrictSecretsManager;
  readonly #faults: { operation: string; fault: Fault; left: number; spared: number; hit: boolean }[] = [];
  #server = createServer();
  #port = 0;

  constructor(service: StrictSecretsManager) {
    this.#service = service;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<this> {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((thrown: unknown) => {
        response.destroy();
        throw thrown;
      });
    });
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#port, "127.0.0.1", resolve);
    });
    const address = this.#server.address();
    this.#port = typeof address === "object" && address !== null ? address.port : 0;
    return this;
  }

  /** What the service knows stays: `start` goes on at the same port. */
  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  /** Befalls calls of the operation, or of any ("*"), as often as is said, after so many were spared. */
  befall(operation: string, fault: Fault, times = Number.POSITIVE_INFINITY, spared = 0): void {
    this.#faults.push({ operation, fault, left: times, spared, hit: false });
  }

  /** Whether anything has, of what was asked for. */
  hasBefallen(): boolean {
    return this.#faults.some(({ hit }) => hit);
  }

  clearFaults(): void {
    this.#faults.length = 0;
  }

  /** How often each operation was called since the log was emptied. */
  counts(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { operation } of this.calls) counts[operation] = (counts[operation] ?? 0) + 1;
    return counts;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const operation = String(request.headers["x-amz-target"]).replace(/^secretsmanager\./, "");
    const fault = this.#faultOf(operation);
    if (fault === "black hole") return;
    if (fault === "cut") {
      response.destroy();
      return;
    }
    if (typeof fault === "object" && "delayMs" in fault) {
      await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
    }
    const { status, answer, error } = await this.#carryOut(request, operation, body, fault);
    this.calls.push({ operation, error });
    if (fault === "reply lost") {
      response.destroy();
      return;
    }
    response.writeHead(status, { "content-type": "application/x-amz-json-1.1", "x-amzn-requestid": "0" });
    response.end(JSON.stringify(answer));
  }

  async #carryOut(
    request: IncomingMessage,
    operation: string,
    body: string,
    fault: Fault | undefined,
  ): Promise<{ readonly status: number; readonly answer: unknown; readonly error: string | undefined }> {
    try {
      if (typeof fault === "object" && "error" in fault) {
        throw new ServiceError(fault.error, fault.message ?? fault.error, fault.status);
      }
      const answer = await this.#service.carryOut(operation, regionOf(request), JSON.parse(body));
      return { status: 200, answer, error: undefined };
    } catch (thrown) {
      if (!(thrown instanceof ServiceError)) throw thrown;
      const answer = { __type: thrown.name, Message: thrown.message };
      return { status: thrown.status, answer, error: thrown.name };
    }
  }

  #faultOf(operation: string): Fault | undefined {
    const found = this.#faults.find(
      (each) => (each.operation === operation || each.operation === "*") && each.left > 0,
    );
    if (found === undefined) return undefined;
    if (found.spared > 0) {
      found.spared -= 1;
      return undefined;
    }
    found.left -= 1;
    found.hit = true;
    return found.fault;
  }
}

/** "AWS4-HMAC-SHA256 Credential=id/date/region/service/aws4_request, …". What is not signed is refused, as the service would. */
function regionOf(request: IncomingMessage): string {
  const region = /Credential=[^/]+\/\d+\/([^/]+)\/secretsmanager\//.exec(
    request.headers.authorization ?? "",
  )?.[1];
  if (region !== undefined) return region;
  throw new ServiceError("MissingAuthenticationTokenException", "Missing Authentication Token");
}
