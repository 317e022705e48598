import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ReportRequest } from "../core/protocol.ts";
import type { FakeService } from "./fake-service.contract.ts";

/** A service behind a real Unix socket, as the protocol describes it. */
export interface FakeServer extends AsyncDisposable {
  readonly socket: string;
  start(): Promise<void>;
  /** Ends the server and cuts every connection, as a restart does. */
  stop(): Promise<void>;
}

export async function serve(service: FakeService, token: () => string): Promise<FakeServer> {
  const directory = await mkdtemp(join(tmpdir(), "keyturn-agent-"));
  const socket = join(directory, "service.sock");
  let server = createServer();
  const stop = async () => {
    service.hangUp();
    server.closeAllConnections();
    if (!server.listening) return;
    server.close();
    await once(server, "close");
  };
  const start = async () => {
    server = createServer((incoming, outgoing) => {
      void answer(service, token(), incoming, outgoing);
    });
    server.listen(socket);
    await once(server, "listening");
  };
  await start();
  const dispose = async () => {
    await stop();
    rmSync(directory, { recursive: true, force: true });
  };
  return { socket, start, stop, [Symbol.asyncDispose]: dispose };
}

async function answer(
  service: FakeService,
  token: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const url = new URL(incoming.url ?? "/", "http://service");
  const say = (status: number, body: unknown) => {
    outgoing.writeHead(status, { "content-type": "application/json" });
    outgoing.end(JSON.stringify(body));
  };
  if (incoming.headers.authorization !== `Bearer ${token}`) {
    return say(401, { code: "access-denied", message: "no such token" });
  }
  const ref = decodeURIComponent(url.pathname.slice("/v1/secrets/".length));
  try {
    if (url.pathname === "/v1/events") return await stream(service, outgoing);
    if (url.pathname === "/v1/secrets") return say(200, { secrets: await service.list() });
    if (url.pathname === "/v1/reports") {
      let body = "";
      for await (const chunk of incoming) body += String(chunk);
      return say(200, await service.report(ReportRequest.parse(JSON.parse(body)).reports));
    }
    const stage = url.searchParams.get("stage") === "pending" ? "pending" : "current";
    const reply = await service.read(ref, stage);
    return reply === undefined ? say(404, { code: "secret-missing", message: "none" }) : say(200, reply);
  } catch {
    return say(503, { code: "store-unavailable", message: "the store is down" });
  }
}

async function stream(service: FakeService, outgoing: ServerResponse): Promise<void> {
  const closed = new AbortController();
  outgoing.on("close", () => closed.abort());
  outgoing.writeHead(200, { "content-type": "application/x-ndjson" });
  outgoing.write("\n");
  for await (const line of await service.events(closed.signal)) outgoing.write(`${line}\n`);
  outgoing.end();
}
