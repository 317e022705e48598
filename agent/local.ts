import { Agent, type IncomingMessage, request } from "node:http";
import { type ErrorCode, errorCodes, KeyturnError } from "../core/errors.ts";
import type { AgentReport } from "../core/fleet.ts";
import { ErrorReply, ReportReply, SecretList, SecretReply } from "../core/protocol.ts";
import { type AgentClock, backoffMs, type Chance } from "./clock.ts";
import type { SecretSummary, Transport } from "./transport.ts";

export interface LocalOptions {
  /** The path of the service's Unix socket. */
  readonly socket: string;
  /** The enrolment's token, or where it is read from. It is asked for at every request, so that a token file may be replaced. */
  readonly token: string | (() => string | Promise<string>);
  readonly clock: AgentClock;
  readonly chance: Chance;
}

interface Call {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: string;
  readonly signal?: AbortSignal | undefined;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** What the protocol's schemas can do, as far as it is needed here. */
interface Reader<T> {
  safeParse(json: unknown): { success: true; data: T } | { success: false };
}

const answerWithinMs = 5_000;
const attemptsMax = 6;
/** No new attempt is begun after this. */
const tryForMs = 8_000;
const retryBaseMs = 50;
const retryMaxMs = 1_000;
/** The service says something every 15 s. */
const silenceMaxMs = 45_000;
const bodyMax = 4 * 1024 * 1024;
const lineMax = 64 * 1024;

/** Speaks HTTP over the Unix socket of a local service. */
export class LocalTransport implements Transport {
  readonly #options: LocalOptions;
  readonly #connections = new Agent({ keepAlive: true, maxSockets: 8, maxFreeSockets: 2 });
  #closed = false;

  constructor(options: LocalOptions) {
    this.#options = options;
  }

  async list(): Promise<readonly SecretSummary[]> {
    const answer = await this.#ask({ method: "GET", path: "/v1/secrets" });
    return read(SecretList, expectOk(answer)).secrets;
  }

  async read(ref: string, stage: "current" | "pending"): Promise<SecretReply | undefined> {
    const path = `/v1/secrets/${encodeURIComponent(ref)}?stage=${stage}`;
    const answer = await this.#ask({ method: "GET", path });
    return answer.status === 404 ? undefined : read(SecretReply, expectOk(answer));
  }

  async report(reports: readonly AgentReport[], signal?: AbortSignal): Promise<ReportReply> {
    const body = JSON.stringify({ reports });
    const answer = await this.#ask({ method: "POST", path: "/v1/reports", body, signal });
    return read(ReportReply, expectOk(answer));
  }

  async events(signal: AbortSignal): Promise<AsyncIterable<string>> {
    const incoming = await this.#stream(await this.#token(), signal);
    // Listening is no reason for the process to live on.
    incoming.socket.unref();
    if (incoming.statusCode === 200) return lines(incoming);
    throw refusal({ status: incoming.statusCode ?? 0, body: await text(incoming) });
  }

  close(): void {
    this.#closed = true;
    this.#connections.destroy();
  }

  /** Tries again while nobody answers, or the service says that it cannot yet: it may be restarting. */
  async #ask(call: Call): Promise<Answer> {
    const { clock, chance } = this.#options;
    const startedAt = clock.now();
    for (let failures = 0; ; failures += 1) {
      const outcome = await this.#tryOnce(call);
      if (!(outcome instanceof KeyturnError) && outcome.status !== 503) return outcome;
      const spent = failures + 1 >= attemptsMax || clock.now() - startedAt > tryForMs;
      if (spent || this.#closed || call.signal?.aborted) {
        throw outcome instanceof KeyturnError ? outcome : refusal(outcome);
      }
      // Told to stop meanwhile, the next attempt fails at once and is the last.
      await clock
        .sleep(backoffMs(failures, retryBaseMs, retryMaxMs, chance), call.signal)
        .catch(() => undefined);
    }
  }

  /** Gives back the failures that may pass by themselves, and throws the others. */
  async #tryOnce(call: Call): Promise<Answer | KeyturnError> {
    if (this.#closed) throw new KeyturnError("request-refused", "the client was closed");
    const token = await this.#token();
    try {
      return await this.#exchange(call, token);
    } catch (cause) {
      const where = `the service at ${this.#options.socket}`;
      if (codeOf(cause) === "EACCES") {
        throw new KeyturnError("access-denied", `this user may not open ${where}`, { cause });
      }
      if (cause instanceof KeyturnError) return cause;
      return new KeyturnError("unreachable", `${where} does not answer (${codeOf(cause) ?? "cut off"})`, {
        cause,
      });
    }
  }

  #exchange({ method, path, body, signal }: Call, token: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const headers = {
        authorization: `Bearer ${token}`,
        ...(body === undefined
          ? {}
          : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
      };
      const options = { socketPath: this.#options.socket, agent: this.#connections, method, path, headers };
      const outgoing = request({ ...options, ...(signal === undefined ? {} : { signal }) });
      const late = setTimeout(() => {
        outgoing.destroy(new KeyturnError("timeout", `the service did not answer ${method} in time`));
      }, answerWithinMs);
      const settled = () => clearTimeout(late);
      outgoing.on("error", (error) => {
        settled();
        reject(error);
      });
      outgoing.on("response", (incoming) => {
        text(incoming)
          .finally(settled)
          .then((answer) => resolve({ status: incoming.statusCode ?? 0, body: answer }), reject);
      });
      outgoing.end(body);
    });
  }

  #stream(token: string, signal: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}`, accept: "application/x-ndjson" };
      const options = { socketPath: this.#options.socket, agent: false, path: "/v1/events", headers, signal };
      const outgoing = request(options);
      outgoing.setTimeout(answerWithinMs, () => {
        outgoing.destroy(new KeyturnError("timeout", "the service's events fell silent"));
      });
      outgoing.on("error", (cause) => {
        const unreachable = () =>
          new KeyturnError("unreachable", `no events from ${this.#options.socket}`, { cause });
        reject(cause instanceof KeyturnError ? cause : unreachable());
      });
      outgoing.on("response", (incoming) => {
        outgoing.setTimeout(silenceMaxMs);
        resolve(incoming);
      });
      outgoing.end();
    });
  }

  async #token(): Promise<string> {
    const { token } = this.#options;
    try {
      const value = typeof token === "string" ? token : await token();
      // A token file ends with a new line as often as not.
      return value.trim();
    } catch (cause) {
      throw new KeyturnError("access-denied", "the agent's token cannot be read", { cause });
    }
  }
}

async function* lines(incoming: IncomingMessage): AsyncGenerator<string> {
  incoming.setEncoding("utf8");
  let rest = "";
  for await (const chunk of incoming) {
    const parts = (rest + String(chunk)).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
    if (rest.length > lineMax) throw new KeyturnError("input-invalid", "the service sent a line without end");
  }
}

async function text(incoming: IncomingMessage): Promise<string> {
  incoming.setEncoding("utf8");
  let body = "";
  for await (const chunk of incoming) {
    body += String(chunk);
    if (body.length > bodyMax) throw new KeyturnError("input-invalid", "the service's answer is too long");
  }
  return body;
}

function expectOk(answer: Answer): string {
  if (answer.status === 200) return answer.body;
  throw refusal(answer);
}

function read<T>(schema: Reader<T>, body: string): T {
  const parsed = schema.safeParse(parseJson(body));
  if (parsed.success) return parsed.data;
  // Neither the text nor the schema's complaint is shown: both may quote a secret.
  throw new KeyturnError("store-unavailable", "the service's answer is not what the protocol says");
}

/** What the service says is wrong, in our own words where its are not understood. */
function refusal({ status, body }: Answer): KeyturnError {
  const parsed = ErrorReply.safeParse(parseJson(body));
  const said = errorCodes.find((known) => parsed.success && known === parsed.data.code);
  // 503 asks to try again, whatever the cause is called: nobody is to give up because of it.
  const code = said === undefined || status === 503 ? codeFor(status) : said;
  return new KeyturnError(code, parsed.success ? parsed.data.message : `the service answered ${status}`);
}

function codeFor(status: number): ErrorCode {
  if (status === 400) return "input-invalid";
  if (status === 401 || status === 403) return "access-denied";
  if (status === 404) return "secret-missing";
  return "store-unavailable";
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
