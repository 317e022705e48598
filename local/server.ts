import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { asKeyturnError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import { type AgentRequestPorts, isFor, listSecrets, readSecret, takeReports } from "./agent-requests.ts";
import type { LocalEventBus } from "./event-bus.ts";
import { EventStream } from "./event-streams.ts";
import {
  type Answer,
  answerTo,
  bearerToken,
  parseTarget,
  readJson,
  refusal,
  refuseGarbage,
  send,
} from "./http.ts";
import { listen } from "./socket.ts";
import type { Tokens } from "./tokens.ts";

export interface AgentServerOptions extends AgentRequestPorts {
  readonly socketPath: string;
  readonly tokens: Pick<Tokens, "authenticate">;
  readonly bus: Pick<LocalEventBus, "readEvents" | "end">;
  /** Somebody says that there is work. */
  readonly onWake: () => void;
  readonly log: Log;
}

/** A service that stops waits so long for the requests it has begun. */
const stopWithinMs = 1_000;

/** Lets agents read, report and listen through a Unix socket, as core/protocol.ts says. */
export async function serveAgents(options: AgentServerOptions): Promise<{ close(): Promise<void> }> {
  const { socketPath, bus, log } = options;
  const stream = await EventStream.open({ bus, log });
  const server = createServer(
    // Idle connections outlive the pauses between an agent's reports; a request that comes in too slowly does not.
    { keepAliveTimeout: 75_000, headersTimeout: 10_000, requestTimeout: 10_000 },
    (request, response) => void serve(options, stream, request, response),
  );
  server.on("clientError", (_error, socket) => refuseGarbage(socket));
  try {
    const release = await listen(server, socketPath);
    const closing = once(async () => {
      await stop(server, stream);
      release();
    });
    return { close: closing };
  } catch (thrown) {
    await stream.close();
    throw thrown;
  }
}

/** Always answers, and never throws. */
async function serve(
  options: AgentServerOptions,
  stream: EventStream,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.on("error", () => undefined);
  // A request that is not read to its end loses its socket, and the response does not.
  const { socket } = request;
  try {
    const answer = await route(options, stream, request, response);
    if (answer !== undefined) send(response, answer);
  } catch (thrown) {
    // That an agent hangs up in the middle is no concern of the service.
    if (socket.destroyed) return;
    const error = asKeyturnError(thrown);
    options.log(error.disposition === "reject" ? "info" : "warn", "a request was not granted", {
      request: `${request.method} ${request.url?.slice(0, 300)}`,
      code: error.code,
      message: error.message,
    });
    send(response, answerTo(error));
  }
}

/** Undefined: the response is the stream's from now on. */
async function route(
  options: AgentServerOptions,
  stream: EventStream,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<Answer | undefined> {
  const { path, query } = parseTarget(request.url ?? "");
  const [version, what, ref] = path;
  const call = `${request.method} ${version}/${what}${path.length > 2 ? "/".repeat(path.length - 2) : ""}`;
  if (call === "POST v1/wake") {
    options.onWake();
    stream.look();
    return { status: 204 };
  }
  const token = bearerToken(request);
  const who = token === undefined ? undefined : await options.tokens.authenticate(token);
  if (token === undefined || who === undefined) {
    return refusal(401, "access-denied", "the token is missing, unknown, expired or revoked");
  }
  switch (call) {
    case "GET v1/secrets":
      return listSecrets(options, who);
    case "GET v1/secrets/":
      return readSecret(options, who, ref ?? "", query.get("stage") ?? "current");
    case "POST v1/reports":
      return takeReports(options, who, await readJson(request));
    case "GET v1/events":
      stream.add({
        response,
        mayRead: (subject) => {
          const managed = options.secrets.get(subject);
          return managed !== undefined && isFor(managed, who);
        },
        isWelcome: async () => (await options.tokens.authenticate(token)) !== undefined,
      });
      return undefined;
    default:
      return refusal(404, "input-invalid", "there is no such path");
  }
}

async function stop(server: Server, stream: EventStream): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  await stream.close();
  server.closeIdleConnections();
  const impatience = setTimeout(() => server.closeAllConnections(), stopWithinMs);
  await closed;
  clearTimeout(impatience);
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= work();
    return done;
  };
}
