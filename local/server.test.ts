import { statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { RotationEvent } from "../core/events.ts";
import type { AgentReport } from "../core/fleet.ts";
import type { ManagedSecret } from "../core/ports.ts";
import { Secret } from "../core/secret.ts";
import { temporaryStore } from "./folder.contract.ts";
import { defaultTestPolicy } from "./memory-ports.ts";
import type { LocalStore } from "./open.ts";
import { type AgentServerOptions, serveAgents } from "./server.ts";

function managed(ref: string, type: string, ...fleets: readonly string[]): ManagedSecret {
  return { ref, type, config: {}, admin: undefined, policy: defaultTestPolicy, fleets, tenant: undefined };
}

const secrets = new Map(
  [
    managed("app/db", "both", "agents"),
    managed("app/ü ?%", "both", "agents", "others"),
    managed("app/key", "cut", "agents"),
    managed("others/db", "both", "others"),
  ].map((secret) => [secret.ref, secret]),
);

async function serving(changes: Partial<AgentServerOptions> = {}) {
  const { local } = await temporaryStore();
  for (const ref of secrets.keys()) {
    await local.store.savePending(ref, "v1", new Secret(`{"password":"of ${ref}"}`));
    await local.store.promote(ref, "v1", undefined);
  }
  const reports: AgentReport[] = [];
  const lines: string[] = [];
  const wakes: string[] = [];
  const options: AgentServerOptions = {
    socketPath: local.socketPath,
    tokens: local.tokens,
    bus: local.bus,
    store: local.store,
    secrets,
    overlapOf: async (type) => (type === "cut" ? "cutover" : "both-live"),
    acceptReports: async (accepted) => {
      reports.push(...accepted);
      return { refusedHolds: accepted.flatMap((report) => report.holds.map((hold) => hold.id)) };
    },
    onWake: () => wakes.push("woken"),
    log: (level, message, fields) => lines.push(`${level} ${message} ${JSON.stringify(fields)}`),
    ...changes,
  };
  const server = await serveAgents(options);
  onTestFinished(() => server.close());
  const token = (await local.tokens.enrol({ principal: "host", fleets: ["agents"] })).reveal();
  return { local, server, options, token, reports, lines, wakes };
}

interface Call {
  readonly method?: string;
  readonly token?: string | undefined;
  readonly authorization?: string;
  readonly body?: string | undefined;
}

async function call(
  { socketPath }: Pick<LocalStore, "socketPath">,
  path: string,
  { method = "GET", token, authorization = token && `Bearer ${token}`, body }: Call = {},
): Promise<{ status: number | undefined; json: unknown }> {
  const headers = authorization === undefined ? {} : { authorization };
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path, method, headers, agent: false }, (incoming) => {
      let text = "";
      incoming.on("data", (chunk) => {
        text += String(chunk);
      });
      incoming.on("end", () =>
        resolve({ status: incoming.statusCode, json: text === "" ? undefined : JSON.parse(text) }),
      );
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

const at = (ref: string): string => `/v1/secrets/${encodeURIComponent(ref)}`;

describe("reading", () => {
  test("lists what the token's fleets may read, and nothing else", async () => {
    const { local, token } = await serving();
    expect(await call(local, "/v1/secrets", { token })).toEqual({
      status: 200,
      json: {
        secrets: [
          { ref: "app/db", type: "both" },
          { ref: "app/ü ?%", type: "both" },
          { ref: "app/key", type: "cut" },
        ],
      },
    });
  });

  test.each(["app/db", "app/ü ?%", "app/key"])("gives the current version of %s", async (ref) => {
    const { local, token } = await serving();
    const { status, json } = await call(local, at(ref), { token });
    expect(status).toBe(200);
    expect(json).toEqual({
      ref,
      version: "v1",
      value: `{"password":"of ${ref}"}`,
      overlap: ref === "app/key" ? "cutover" : "both-live",
      cacheTtlMs: defaultTestPolicy.cacheTtlMs,
    });
    expect(await call(local, `${at(ref)}?stage=current`, { token })).toEqual({ status, json });
  });

  test("gives pending of a cutover type only", async () => {
    const { local, token } = await serving();
    for (const ref of ["app/key", "app/db"]) await local.store.savePending(ref, "v2", new Secret("next"));
    const cut = await call(local, `${at("app/key")}?stage=pending`, { token });
    expect(cut).toMatchObject({ status: 200, json: { version: "v2", value: "next" } });
    const both = await call(local, `${at("app/db")}?stage=pending`, { token });
    expect(both).toMatchObject({ status: 403, json: { code: "access-denied" } });
    expect(JSON.stringify(both.json)).not.toContain("next");
  });

  test("what has no such version is not there", async () => {
    const { local, token } = await serving();
    expect(await call(local, `${at("app/key")}?stage=pending`, { token })).toMatchObject({
      status: 404,
      json: { code: "secret-missing" },
    });
  });

  test.each(["others/db", "nowhere", "", "__proto__"])(
    "another fleet's secret and none at all are refused alike: %j",
    async (ref) => {
      const { local, token } = await serving();
      const { status, json } = await call(local, at(ref), { token });
      expect({ status, json }).toMatchObject({ status: 403, json: { code: "access-denied" } });
    },
  );

  test("a store that is out of order is 503, and no absence", async () => {
    const { local, token, lines } = await serving({
      store: { read: () => Promise.reject(new Error("a defect with details")) },
    });
    const { status, json } = await call(local, at("app/db"), { token });
    expect(status).toBe(503);
    expect(JSON.stringify(json)).not.toContain("details");
    expect(lines.join()).toContain("a defect with details");
  });
});

describe("who may speak", () => {
  const paths = ["/v1/secrets", at("app/db"), "/v1/events", "/v1/nothing"];
  test.each([
    ["without a token", {}],
    ["with one that nobody has", { token: "kt_wrong" }],
    ["with an empty one", { authorization: "Bearer " }],
    ["in another scheme", { authorization: "Basic aG9zdDp4" }],
  ])("nobody is heard %s", async (_, how) => {
    const { local } = await serving();
    for (const path of paths) {
      expect(await call(local, path, how)).toMatchObject({ status: 401, json: { code: "access-denied" } });
    }
    expect(await call(local, "/v1/reports", { ...how, method: "POST", body: "{}" })).toMatchObject({
      status: 401,
    });
  });

  test("a revoked token is not heard any more", async () => {
    const { local, token } = await serving();
    await local.tokens.revoke("host");
    expect((await call(local, "/v1/secrets", { token })).status).toBe(401);
  });

  test.each([
    ["GET", "/"],
    ["GET", "/v1"],
    ["GET", "/v2/secrets"],
    ["GET", "/v1/secrets/a/b"],
    ["DELETE", "/v1/secrets/app%2Fdb"],
    ["GET", "/v1/reports"],
    ["POST", "/v1/secrets"],
    ["GET", "/v1/wake"],
  ])("there is no %s %s", async (method, path) => {
    const { local, token } = await serving();
    expect((await call(local, path, { method, token })).status).toBe(404);
  });

  test.each([[`${at("app/db")}?stage=previous`], [`${at("app/db")}?stage=`], ["/v1/secrets/%E0%A4"]])(
    "%s is not understood",
    async (path) => {
      const { local, token } = await serving();
      expect(await call(local, path, { token })).toMatchObject({
        status: 400,
        json: { code: "input-invalid" },
      });
    },
  );
});

function report(changes: Partial<AgentReport> = {}): AgentReport {
  return {
    ref: "app/db",
    agent: "host/a",
    fleet: "agents",
    sequence: 1,
    inUse: ["v1"],
    holds: [],
    ...changes,
  };
}

describe("reports", () => {
  const post = (body: unknown, token: string) => ({
    method: "POST",
    token,
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

  test("are taken as they are, and holds that are not granted are told", async () => {
    const { local, token, reports } = await serving();
    const sent = [
      report({ holds: [{ id: "h1", version: "v1", since: 1 }] }),
      report({ agent: "host", ref: "app/key", leaving: true }),
    ];
    expect(await call(local, "/v1/reports", post({ reports: sent }, token))).toEqual({
      status: 200,
      json: { refusedHolds: ["h1"] },
    });
    expect(reports).toEqual(sent);
  });

  test.each([
    ["another principal", { agent: "host2" }],
    ["a principal whose name begins the same", { agent: "hostess/a" }],
    ["nobody", { agent: "" }],
    ["a fleet that is not its own", { fleet: "others" }],
    ["a secret that it may not read", { ref: "others/db" }],
    ["a secret that is not there", { ref: "nowhere" }],
  ])("for %s are refused, and the whole request with them", async (_, changes) => {
    const { local, token, reports } = await serving();
    const body = { reports: [report(), report(changes)] };
    expect(await call(local, "/v1/reports", post(body, token))).toMatchObject({
      status: 403,
      json: { code: "access-denied" },
    });
    expect(reports).toEqual([]);
  });

  test.each([
    ["nothing", ""],
    ["no JSON", "{"],
    ["no reports", {}],
    ["a report that lacks a field", { reports: [{ ref: "app/db" }] }],
    ["more than the longest body", "x".repeat(2_000_000)],
  ])("%s is refused as a request", async (_, body) => {
    const { local, token, reports } = await serving();
    expect(await call(local, "/v1/reports", post(body, token))).toMatchObject({
      status: 400,
      json: { code: "input-invalid" },
    });
    expect(reports).toEqual([]);
  });
});

function rotated(ref: string, epoch: number): RotationEvent {
  return {
    specversion: "1.0",
    id: `${ref}/${epoch}/rotated`,
    source: "keyturn/test",
    subject: ref,
    time: "2026-01-01T00:00:00.000Z",
    datacontenttype: "application/json",
    type: "dev.keyturn.secret.rotated.v1",
    data: { epoch, version: `v${epoch}`, urgent: false },
  };
}

describe("events", () => {
  test("are streamed as they are published, only of what the token may read, and none from before", async () => {
    const { local, token, server } = await serving();
    await local.bus.publish(rotated("app/db", 1));
    const incoming = await new Promise<NodeJS.ReadableStream>((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}` };
      request({ socketPath: local.socketPath, path: "/v1/events", headers, agent: false }, resolve)
        .on("error", reject)
        .end();
    });
    const all = (async () => {
      let text = "";
      for await (const chunk of incoming) {
        text += String(chunk);
        if (text.includes("app/key/4")) await server.close();
      }
      return text;
    })();
    await call(local, "/v1/wake", { method: "POST" });
    await local.bus.publish(rotated("app/db", 2));
    await local.bus.publish(rotated("others/db", 3));
    await local.bus.publish(rotated("app/key", 4));
    const lines = (await all).split("\n").filter((line) => line !== "");
    const told = lines.map((line) => JSON.parse(line)).filter((event) => event.data.epoch > 1);
    expect(told).toEqual([rotated("app/db", 2), rotated("app/key", 4)]);
  });

  test("waking needs no token, and tells the service to look", async () => {
    const { local, wakes } = await serving();
    expect((await call(local, "/v1/wake", { method: "POST" })).status).toBe(204);
    await local.bus.wake();
    expect(wakes).toHaveLength(2);
  });
});

describe("the socket", () => {
  test("is for its owner only", async () => {
    const { local } = await serving();
    expect(statSync(local.socketPath).mode & 0o777).toBe(0o600);
  });

  test("a second service is refused in words, and the first goes on", async () => {
    const { local, token, options } = await serving();
    await expect(serveAgents(options)).rejects.toMatchObject({ code: "request-refused" });
    await expect(serveAgents(options)).rejects.toThrow(/another .*keyturn serve.* is running/);
    expect((await call(local, "/v1/secrets", { token })).status).toBe(200);
  });

  test("after the first has closed, the next may serve", async () => {
    const { local, token, options, server } = await serving();
    await server.close();
    await server.close();
    await expect(call(local, "/v1/secrets", { token })).rejects.toThrow();
    const next = await serveAgents(options);
    expect((await call(local, "/v1/secrets", { token })).status).toBe(200);
    await next.close();
  });

  test("one that a dead process left is replaced", async () => {
    const { local, token, options, server } = await serving();
    await server.close();
    const stale = createServer();
    const path = join(`${local.socketPath}2`);
    await new Promise<void>((resolve) => stale.listen(local.socketPath, resolve));
    // A file at the socket's place whose listener is gone is what a killed process leaves.
    const { renameSync } = await import("node:fs");
    renameSync(local.socketPath, path);
    await new Promise((resolve) => stale.close(resolve));
    renameSync(path, local.socketPath);
    const next = await serveAgents(options);
    expect((await call(local, "/v1/secrets", { token })).status).toBe(200);
    await next.close();
  });

  test("whatever else is at its place is left alone", async () => {
    const { options, server } = await serving();
    await server.close();
    writeFileSync(options.socketPath, "somebody's file");
    await expect(serveAgents(options)).rejects.toMatchObject({ code: "request-refused" });
    expect(statSync(options.socketPath).isFile()).toBe(true);
  });

  test("a path that is too long for a socket is told so", async () => {
    const { options } = await serving();
    const socketPath = join(options.socketPath, "..", "x".repeat(100));
    await expect(serveAgents({ ...options, socketPath })).rejects.toMatchObject({ code: "input-invalid" });
    await expect(serveAgents({ ...options, socketPath })).rejects.toThrow(/bytes/);
  });

  test("what is not HTTP is answered and closed, and disturbs nobody", async () => {
    const { local, token } = await serving();
    const answer = await new Promise<string>((resolve, reject) => {
      let text = "";
      const socket = connect(local.socketPath, () => socket.write("garbage\r\n\r\n"));
      socket.on("data", (chunk) => {
        text += String(chunk);
      });
      socket.on("error", reject);
      socket.on("close", () => resolve(text));
    });
    expect(answer).toContain("400");
    expect((await call(local, "/v1/secrets", { token })).status).toBe(200);
  });

  test("an agent that hangs up in the middle of its request disturbs nobody", async () => {
    const { local, token } = await serving();
    const socket = connect(local.socketPath);
    socket.write(
      `POST /v1/reports HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-length: 99\r\n\r\n{"re`,
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
    socket.destroy();
    expect((await call(local, "/v1/secrets", { token })).status).toBe(200);
  });
});
