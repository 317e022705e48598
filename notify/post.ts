import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { KeyturnError } from "../core/errors.ts";

export interface PostOptions {
  /** The PEM of the authority that the receiver's certificate must come from; without it, the well-known ones. */
  readonly ca: string | undefined;
  /** For the whole of it: name, connection, request and reply. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface Reply {
  readonly status: number;
  readonly retryAfter: string | undefined;
  /** The beginning of the body. */
  readonly text: string;
  /** Whether that is all of it; else it may end in the middle of something. */
  readonly isWhole: boolean;
}

/** More of a reply than this nobody reads. */
const replyBytesMax = 4_096;

/**
 * Posts a body over TLS, whose certificate is always checked, and follows no redirect: neither the body nor the address are meant
 * for another host. Throws `unreachable`, `timeout` or `tls-failed`; the message never has the path, which may be secret.
 */
export async function post(
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: string,
  { ca, timeoutMs, signal }: PostOptions,
): Promise<Reply> {
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    return await send(url, headers, body, ca, AbortSignal.any([signal, deadline]));
  } catch (thrown) {
    signal.throwIfAborted();
    if (deadline.aborted) {
      throw new KeyturnError("timeout", `${url.host} has not answered within ${timeoutMs} ms`);
    }
    throw networkError(thrown, url.host);
  }
}

function send(
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: string,
  ca: string | undefined,
  signal: AbortSignal,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        method: "POST",
        headers: { ...headers, "content-length": String(Buffer.byteLength(body)) },
        // A connection of its own, so that nothing of one delivery lives on in the next.
        agent: false,
        rejectUnauthorized: true,
        ...(ca === undefined ? {} : { ca }),
        signal,
      },
      (response) => {
        readReply(response).then(resolve, reject);
      },
    );
    sent.on("error", reject);
    sent.end(body);
  });
}

/** Success is said by the status: who says it and then hangs has still said it. */
async function readReply(response: IncomingMessage): Promise<Reply> {
  const { statusCode: status = 0 } = response;
  const retryAfter = response.headers["retry-after"];
  const isDone = status >= 200 && status < 300;
  if (isDone) response.destroy();
  return { status, retryAfter, ...(isDone ? { text: "", isWhole: true } : await beginningOf(response)) };
}

async function beginningOf(response: IncomingMessage): Promise<Pick<Reply, "text" | "isWhole">> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > replyBytesMax) break;
    }
  } catch {
    // The status is known; what else it had to say is lost.
  }
  const isWhole = response.complete && size <= replyBytesMax;
  response.destroy();
  return { text: Buffer.concat(chunks).subarray(0, replyBytesMax).toString("utf8"), isWhole };
}

function networkError(thrown: unknown, host: string): KeyturnError {
  const { code, message } = Object(thrown);
  const text = `${host}: ${message || code || "no connection"}`;
  const isTls = typeof code === "string" && /CERT|SSL|TLS|SIGNATURE|EPROTO|ISSUER/.test(code);
  return new KeyturnError(isTls ? "tls-failed" : "unreachable", text, { cause: thrown });
}
