import { type IncomingMessage, request } from "node:http";
import { onTestFinished } from "vitest";
import { acceptReports } from "../core/accept-reports.ts";
import type { ManagedSecret } from "../core/ports.ts";
import { Secret } from "../core/secret.ts";
import { temporaryStore } from "./folder.contract.ts";
import { defaultTestPolicy } from "./memory-ports.ts";
import type { LocalStore } from "./open.ts";
import { type AgentServerOptions, serveAgents } from "./server.ts";

function managed(ref: string, type: string, fleets: readonly string[]): [string, ManagedSecret] {
  const policy = { ...defaultTestPolicy, cacheTtlMs: 7_000 };
  return [ref, { ref, type, config: {}, admin: undefined, policy, fleets, tenant: undefined }];
}

const secrets = new Map([
  managed("app/db", "both", ["agents"]),
  managed("app/cut", "cut", ["agents", "others"]),
  managed("other/db", "both", ["others"]),
  managed("nobody/db", "both", []),
]);

export interface World {
  readonly local: LocalStore;
  readonly token: string;
  readonly lines: string[];
  readonly woken: () => number;
  serve(changes?: Partial<AgentServerOptions>): Promise<{ close(): Promise<void> }>;
}

/** A store with four secrets, a token for the fleet of two of them, and the way to serve it. */
export async function world(): Promise<World> {
  const { local } = await temporaryStore();
  const lines: string[] = [];
  let wakes = 0;
  const token = await local.tokens.enrol({ principal: "host-1", fleets: ["agents"] });
  for (const ref of secrets.keys()) {
    await local.store.savePending(ref, "v1", new Secret(`{"password":"current of ${ref}"}`));
    await local.store.promote(ref, "v1", undefined);
  }
  return {
    local,
    token: token.reveal(),
    lines,
    woken: () => wakes,
    serve: async (changes = {}) => {
      const server = await serveAgents({
        socketPath: local.socketPath,
        tokens: local.tokens,
        secrets,
        store: local.store,
        bus: local.bus,
        overlapOf: async (type) => (type === "cut" ? "cutover" : "both-live"),
        acceptReports: (reports) => acceptReports(local, reports),
        onWake: () => {
          wakes += 1;
        },
        log: (level, message, fields) => lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
        ...changes,
      });
      onTestFinished(() => server.close());
      return server;
    },
  };
}

export interface Call {
  readonly method?: string;
  readonly path: string;
  readonly token?: string | undefined;
  readonly body?: string | object;
}

export async function call(socketPath: string, { method = "GET", path, token, body }: Call) {
  const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const outgoing = request({ socketPath, agent: false, method, path, headers }, resolve);
    outgoing.on("error", reject);
    outgoing.end(typeof body === "object" ? JSON.stringify(body) : body);
  });
  const text = Buffer.concat(await Array.fromAsync(incoming)).toString("utf8");
  const json: unknown = text === "" ? undefined : JSON.parse(text);
  return { status: incoming.statusCode, json, text };
}
