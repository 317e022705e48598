import { once } from "node:events";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";

/** What a service of AWS is to answer: a body with the status, or nothing at all. */
export type Scripted =
  | { readonly status: number; readonly body: unknown; readonly headers?: Readonly<Record<string, string>> }
  | "hangs up";

interface Asked {
  /** Such as `GetItem`. */
  readonly operation: string;
  readonly input: unknown;
}

/** A service that says what a test wants it to say: for answers that no emulator gives. The SDK before it is the real one. */
export interface ScriptedService extends AsyncDisposable {
  /** For any client of the SDK; it tries once. */
  readonly config: {
    readonly endpoint: string;
    readonly region: string;
    readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
    readonly maxAttempts: number;
  };
  readonly asked: readonly Asked[];
}

/** As services with JSON bodies say what is wrong. */
export function refusal(type: string, message = "canary-in-a-message", status = 400): Scripted {
  return { status, body: { __type: `com.amazonaws#${type}`, message } };
}

export function answer(body: unknown): Scripted {
  return { status: 200, body };
}

/** Asked more often than there are answers, it goes on with the last one. */
export function scriptedService(first: Scripted, ...more: readonly Scripted[]): Promise<ScriptedService> {
  const answers = [first, ...more];
  return scriptedBy((_, index) => answers[index] ?? answers.at(-1) ?? first);
}

/** Answers by what it is asked, where calls come at once and in any order; the first call has the index 0. */
export async function scriptedBy(
  answerTo: (operation: string, index: number) => Scripted,
): Promise<ScriptedService> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const operation = String(request.headers["x-amz-target"] ?? request.method).replace(/^.*\./, "");
    asked.push({ operation, input: body.startsWith("{") ? JSON.parse(body) : body });
    const said = answerTo(operation, asked.length - 1);
    if (said === "hangs up") return void request.socket.destroy();
    response.writeHead(said.status, { "content-type": "application/x-amz-json-1.1", ...said.headers });
    response.end(typeof said.body === "string" ? said.body : JSON.stringify(said.body));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the service has no port");
  return {
    config: {
      endpoint: `http://127.0.0.1:${address.port}`,
      region: "eu-west-1",
      credentials: { accessKeyId: "AKIATEST", secretAccessKey: "canary" },
      maxAttempts: 1,
    },
    asked,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
