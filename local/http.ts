import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { KeyturnError } from "../core/errors.ts";
import type { ErrorReply } from "../core/protocol.ts";

/** What a request comes to: a status with its JSON, or a status alone. */
export interface Answer {
  readonly status: 200 | 204 | 400 | 401 | 403 | 404 | 503;
  readonly body?: object;
}

/** More than any batch of reports has. */
const bodyBytesMax = 1024 * 1024;
/** A longer body is read on for a while, so that the sender lives to see why it was refused. */
const drainBytesMax = 8 * bodyBytesMax;

export function send(response: ServerResponse, { status, body }: Answer): void {
  if (response.headersSent || response.destroyed) return;
  if (body === undefined) {
    response.writeHead(status).end();
    return;
  }
  const text = JSON.stringify(body);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
  });
  response.end(text);
}

/** What an error looks like from outside. The text of a defect is for our own log: nobody has looked through what it says. */
export function answerTo(error: KeyturnError): Answer {
  const { code } = error;
  const message = code === "internal" ? "the service failed; its own log says how" : error.message;
  return refusal(statusOf(error), code, message);
}

export function refusal(status: Answer["status"], code: KeyturnError["code"], message: string): Answer {
  return { status, body: { code, message } satisfies ErrorReply };
}

/** The parts of the path, decoded. */
export function parseTarget(url: string): {
  readonly path: readonly string[];
  readonly query: URLSearchParams;
} {
  const [path = "", query = ""] = url.split("?", 2);
  try {
    return { path: path.split("/").slice(1).map(decodeURIComponent), query: new URLSearchParams(query) };
  } catch {
    throw new KeyturnError("input-invalid", "the path is not well encoded");
  }
}

export function bearerToken(request: IncomingMessage): string | undefined {
  return /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
}

export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= bodyBytesMax) chunks.push(chunk);
    if (size > drainBytesMax) break;
  }
  if (size > bodyBytesMax) {
    throw new KeyturnError("input-invalid", `the body has more than ${bodyBytesMax} bytes; send it in parts`);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    throw new KeyturnError("input-invalid", "the body is not JSON");
  }
}

/** For what is no HTTP at all, or comes too slowly. */
export function refuseGarbage(socket: Duplex): void {
  if (!socket.writable) return void socket.destroy();
  const body = JSON.stringify({ code: "input-invalid", message: "not an HTTP request" } satisfies ErrorReply);
  const head = `HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json`;
  socket.end(`${head}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
}

function statusOf({ code }: KeyturnError): Answer["status"] {
  if (code === "input-invalid") return 400;
  return code === "access-denied" ? 403 : 503;
}
