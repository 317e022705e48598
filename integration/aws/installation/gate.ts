import { once } from "node:events";
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from "node:http";
import { Readable } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import * as z from "zod/mini";
import { outages, type TcpProxy } from "../../tcp-proxy.ts";
import type { AwsConfig } from "../aws-config.ts";
import { deny, GateRights, type Withheld, withErrors, withoutWithheld } from "./gate-rights.ts";
import { GateRules } from "./gate-rules.ts";
import { type Call, operationOf } from "./operation.ts";

/** Stands before an emulator for the functions alone. When it ends it throws where a function has lacked a right. Tests steer it by HTTP (steering.ts), for it runs where they do not. */
export interface Gate extends AsyncDisposable {
  readonly endpoint: string;
  /** Where calls go from here on: those for tables go there by the key that knows them. */
  leadTo(others: AwsConfig, tables: AwsConfig): void;
  /** From here on a function may do what its role allows, and no more. */
  limitTo: GateRights["limitTo"];
}

/** What begins with it is said to the gate itself. */
const steeringPath = "/_gate/";

const ToWire = z.union([
  z.strictObject({ wire: z.string(), fail: z.enum(outages) }),
  z.strictObject({ wire: z.string(), silence: z.int() }),
  z.strictObject({ wire: z.string(), act: z.enum(["heal", "calm", "isSilent", "port"]) }),
]);

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readable;
}

const Refused = z.strictObject({ about: z.string() });

/** `wires` lead to databases; they are steered by the same way. */
export async function startGate(wires: ReadonlyMap<string, TcpProxy>): Promise<Gate> {
  const rules = new GateRules();
  const rights = new GateRights();
  let onward: { readonly others: AwsConfig; readonly tables: AwsConfig } | undefined;
  const server = createServer((asked, answer) => {
    serve(asked, answer).catch(() => asked.socket.destroy());
  });

  async function serve(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { url = "/" } = asked;
    const body = await buffer(asked);
    if (!url.startsWith(steeringPath)) return pass(asked, answer, body);
    const what = url.slice(steeringPath.length);
    const said: unknown = JSON.parse(String(body));
    const [status, told] = await steer(what, said).then(
      (result) => [200, result ?? null] as const,
      (failure: unknown) => [400, String(failure)] as const,
    );
    answer.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(told));
  }

  async function steer(what: string, said: unknown): Promise<unknown> {
    if (what === "wire") return steerWire(said);
    if (what === "refused") return rights.take(Refused.parse(said).about);
    return rules.steer(what, said);
  }

  async function steerWire(said: unknown): Promise<unknown> {
    const order = ToWire.parse(said);
    const wire = wires.get(order.wire);
    if (wire === undefined) throw new Error(`there is no wire to ${order.wire}`);
    if ("fail" in order) return wire.fail(order.fail);
    if ("silence" in order) return wire.silence(order.silence);
    return order.act === "port" || order.act === "isSilent" ? wire[order.act] : wire[order.act]();
  }

  async function pass(asked: IncomingMessage, answer: ServerResponse, body: Buffer): Promise<void> {
    const said = body.toString("latin1");
    const call = operationOf(asked, said);
    const gone = once(answer, "close").then(() => "gone" as const);
    const { refusal, withheld = [] } = await rights.judge(call, asked.url ?? "/", body.toString());
    if (refusal !== undefined) return deny(answer, call, refusal);
    const before = await rules.meet(call, said, "request", gone);
    if (before === "gone" || before === "lose") return void asked.socket.destroy();
    if (before !== "pass") {
      const { code, status, message } = before;
      const headers = { "content-type": "application/x-amz-json-1.1", "x-amzn-errortype": code };
      answer.writeHead(status, headers).end(JSON.stringify({ __type: code, message }));
      return;
    }
    const reply = await (withheld.length > 0
      ? askForRest(asked, call, body.toString(), withheld)
      : ask(asked, call, body));
    const after = await rules.meet(call, said, "reply", gone);
    if (after === "gone" || after === "lose") {
      reply.body.resume();
      return void asked.socket.destroy();
    }
    answer.writeHead(reply.status, reply.headers);
    reply.body.pipe(answer);
  }

  /** What is withheld is not asked for, and named in the answer. */
  async function askForRest(
    asked: IncomingMessage,
    call: Call,
    body: string,
    withheld: readonly Withheld[],
  ): Promise<Reply> {
    const rest = withoutWithheld(body, withheld);
    const reply = rest === undefined ? undefined : await ask(asked, call, rest);
    const given = reply && (await text(reply.body));
    const headers = { "content-type": "application/x-amz-json-1.1" };
    if (reply !== undefined && reply.status !== 200)
      return { status: reply.status, headers, body: Readable.from([given]) };
    return { status: 200, headers, body: Readable.from([withErrors(given, withheld)]) };
  }

  /** Asks an emulator what was asked, or another body instead. */
  async function ask(asked: IncomingMessage, call: Call, body: Buffer | string): Promise<Reply> {
    if (onward === undefined) throw new Error("the gate leads nowhere yet");
    const { method, url: path } = asked;
    const isForTables = call.service === "dynamodb";
    const { hostname: host, port } = new URL((isForTables ? onward.tables : onward.others).endpoint);
    const by = isForTables ? byKey(asked.headers, onward.tables.credentials.accessKeyId) : asked.headers;
    const headers = typeof body === "string" ? { ...by, "content-length": Buffer.byteLength(body) } : by;
    const reply = await new Promise<IncomingMessage>((resolve, reject) => {
      request({ host, port, method, path, headers }, resolve).on("error", reject).end(body);
    });
    return { status: reply.statusCode ?? 500, headers: reply.headers, body: reply };
  }

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the gate has no port");
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    leadTo: (others, tables) => {
      onward = { others, tables };
    },
    limitTo: (deployed) => rights.limitTo(deployed),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      rights.assertNoneLacking();
    },
  };
}

/** The same, as if asked with another key; nobody behind the gate checks a signature. */
function byKey(headers: IncomingHttpHeaders, accessKeyId: string): IncomingHttpHeaders {
  const { authorization = "" } = headers;
  return {
    ...headers,
    authorization: authorization.replace(/Credential=[^/]+/, `Credential=${accessKeyId}`),
  };
}
