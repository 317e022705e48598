import { writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../agent/clock.ts";
import { LocalTransport } from "../agent/local.ts";
import { ErrorReply, ReportReply, SecretList, SecretReply } from "../core/protocol.ts";
import { Secret } from "../core/secret.ts";
import { type Call, call, type World, world } from "./agent-server.contract.ts";

let it: World;
let ask: (one: Call) => ReturnType<typeof call>;
beforeEach(async () => {
  it = await world();
  ask = (one) => call(it.local.socketPath, { token: it.token, ...one });
});

const report = {
  ref: "app/db",
  agent: "host-1/a",
  fleet: "agents",
  sequence: 1,
  adopted: "v1",
  inUse: ["v1"],
  holds: [{ id: "h1", version: "v1", since: 1 }],
};

describe("reading", () => {
  beforeEach(() => it.serve());

  test("the list has what the token's fleets may read", async () => {
    const { status, json } = await ask({ path: "/v1/secrets" });
    expect(status).toBe(200);
    expect(SecretList.parse(json)).toEqual({
      secrets: [
        { ref: "app/db", type: "both" },
        { ref: "app/cut", type: "cut" },
      ],
    });
  });

  test.each(["/v1/secrets/app%2Fdb", "/v1/secrets/app%2Fdb?stage=current"])("current: %s", async (path) => {
    const { status, json } = await ask({ path });
    expect(status).toBe(200);
    expect(SecretReply.parse(json)).toEqual({
      ref: "app/db",
      version: "v1",
      value: '{"password":"current of app/db"}',
      overlap: "both-live",
      cacheTtlMs: 7_000,
    });
  });

  test("pending is readable of a cutover type, and absent when there is none", async () => {
    expect((await ask({ path: "/v1/secrets/app%2Fcut?stage=pending" })).status).toBe(404);
    await it.local.store.savePending("app/cut", "v2", new Secret("next"));
    const { status, json } = await ask({ path: "/v1/secrets/app%2Fcut?stage=pending" });
    expect([status, SecretReply.parse(json)]).toMatchObject([200, { version: "v2", overlap: "cutover" }]);
  });

  test("what the store cannot give is an outage, and not absent", async () => {
    await it.local.close();
    const { status, json } = await ask({ path: "/v1/secrets/app%2Fdb" });
    expect(status).toBe(503);
    expect(ErrorReply.parse(json).code).toBe("store-unavailable");
  });
});

describe("what is refused", () => {
  const secret = "/v1/secrets/app%2Fdb";
  const pending = "/v1/secrets/app%2Fdb?stage=pending";
  const cases: Record<string, readonly [Call, status: number, code: string]> = {
    "no token": [{ path: secret, token: undefined }, 401, "access-denied"],
    "no token at the list": [{ path: "/v1/secrets", token: undefined }, 401, "access-denied"],
    "no token at the events": [{ path: "/v1/events", token: undefined }, 401, "access-denied"],
    "no token at the reports": [
      { method: "POST", path: "/v1/reports", token: undefined, body: { reports: [report] } },
      401,
      "access-denied",
    ],
    "a wrong token": [{ path: secret, token: "keyturn-agent-wrong" }, 401, "access-denied"],
    "a token at the list": [{ path: "/v1/secrets", token: "wrong" }, 401, "access-denied"],
    "a token at the events": [{ path: "/v1/events", token: "wrong" }, 401, "access-denied"],
    "a token at the reports": [
      { method: "POST", path: "/v1/reports", token: "x", body: {} },
      401,
      "access-denied",
    ],
    "another fleet's secret": [{ path: "/v1/secrets/other%2Fdb" }, 403, "access-denied"],
    "a secret of no fleet": [{ path: "/v1/secrets/nobody%2Fdb" }, 403, "access-denied"],
    "a secret that does not exist": [{ path: "/v1/secrets/none" }, 403, "access-denied"],
    "a name of the language": [{ path: "/v1/secrets/__proto__" }, 403, "access-denied"],
    "pending of a both-live type": [{ path: pending }, 403, "access-denied"],
    previous: [{ path: `${secret}?stage=previous` }, 400, "input-invalid"],
    "a path that is not well encoded": [{ path: "/v1/secrets/%E0%A4%A" }, 400, "input-invalid"],
    "an unknown path": [{ path: "/v1/other" }, 404, "input-invalid"],
    "a path that goes on": [{ path: `${secret}/x` }, 404, "input-invalid"],
    "no path": [{ path: "/" }, 404, "input-invalid"],
    "another method": [{ method: "DELETE", path: secret }, 404, "input-invalid"],
  };
  beforeEach(() => it.serve());

  test.each(Object.entries(cases))("%s", async (_, [what, status, code]) => {
    const answer = await ask(what);
    expect(answer.status).toBe(status);
    expect(ErrorReply.parse(answer.json)).toEqual({ code, message: expect.stringMatching(/^[^"]{10,200}$/) });
    expect(answer.text + it.lines.join("")).not.toContain("current of");
    expect(answer.text + it.lines.join("")).not.toContain(it.token);
  });

  test.each([
    ...["rotate", "revoke", "rollback", "enrol"].map((command) => `/v1/${command}`),
    ...["", "/rotate", "/revoke", "/rollback"].map((command) => `${secret}${command}`),
  ])("what an operator may ask for: %s", async (path) => {
    const { status, json } = await ask({ method: "POST", path, body: { ref: "app/db", version: "v1" } });
    expect([status, ErrorReply.parse(json).code]).toEqual([404, "input-invalid"]);
    expect([await it.local.journal.load("app/db"), it.woken()]).toEqual([undefined, 0]);
  });

  test("what does not exist and what is another's look the same", async () => {
    const other = await ask({ path: "/v1/secrets/other%2Fdb" });
    const none = await ask({ path: "/v1/secrets/none%2Fdb" });
    expect(other.text.replace("other/", "")).toBe(none.text.replace("none/", ""));
  });

  test("a revoked token, from the next request on", async () => {
    expect((await ask({ path: secret })).status).toBe(200);
    await it.local.tokens.revoke("host-1");
    expect((await ask({ path: secret })).status).toBe(401);
  });

  test("what is no HTTP", async () => {
    const socket = connect(it.local.socketPath);
    socket.end("GARBAGE\r\n\r\n");
    const text = Buffer.concat(await Array.fromAsync(socket)).toString("utf8");
    expect(text).toMatch(/^HTTP\/1.1 400 .*"code":"input-invalid"/s);
  });
});

test("a defect of the service is told without its words", async () => {
  const read = async () => {
    throw new Error("a library quotes canary-secret");
  };
  await it.serve({ store: { read } });
  const { status, json, text } = await ask({ path: "/v1/secrets/app%2Fdb" });
  expect([status, ErrorReply.parse(json).code]).toEqual([503, "internal"]);
  expect(text).not.toContain("canary");
});

describe("reporting", () => {
  beforeEach(() => it.serve());
  const post = (body: string | object) => ask({ method: "POST", path: "/v1/reports", body });

  test("what an agent says reaches the journal", async () => {
    const { status, json } = await post({ reports: [report, { ...report, agent: "host-1", leaving: true }] });
    expect([status, ReportReply.parse(json)]).toEqual([200, { refusedHolds: [] }]);
    const agents = await it.local.journal.agents("app/db");
    expect(agents.map(({ agent, leaving }) => [agent, leaving])).toEqual([
      ["host-1", true],
      ["host-1/a", undefined],
    ]);
  });

  test.each([
    ["for another agent", { agent: "host-2/a" }],
    ["for one whose name only begins alike", { agent: "host-10" }],
    ["for a fleet that is not its own", { fleet: "others" }],
    ["on a secret that is not its own", { ref: "other/db" }],
    ["on a secret that does not exist", { ref: "none" }],
  ])("a report %s is refused, and nothing of its request is taken", async (_, changes) => {
    const { status, json } = await post({ reports: [report, { ...report, ...changes }] });
    expect([status, ErrorReply.parse(json).code]).toEqual([403, "access-denied"]);
    expect(await it.local.journal.agents("app/db")).toEqual([]);
  });

  test.each([
    ["no JSON", "{"],
    ["nothing", ""],
    ["something else", "[]"],
    ["a report that lacks something", { reports: [{ ref: "app/db" }] }],
    ["more than a megabyte", "x".repeat(1024 * 1024 + 1)],
    ["much more than a megabyte", "x".repeat(3 * 1024 * 1024)],
  ])("%s is answered with what is wrong", async (_, body) => {
    const { status, json } = await post(body);
    expect([status, ErrorReply.parse(json).code]).toEqual([400, "input-invalid"]);
  });

  test("who sends without end is cut off before sixteen megabytes, and the others are served", async () => {
    const headers = { authorization: `Bearer ${it.token}` };
    const { socketPath } = it.local;
    const outgoing = request({ socketPath, agent: false, method: "POST", path: "/v1/reports", headers });
    let isOver = false;
    outgoing.on("response", (answer) => answer.resume());
    const over = new Promise<void>((resolve) => {
      for (const event of ["error", "close"]) outgoing.on(event, () => resolve());
    }).then(() => {
      isOver = true;
    });
    const chunk = Buffer.alloc(65_536, "x");
    let sent = 0;
    while (!isOver && sent < 16 * 1024 * 1024) {
      sent += chunk.length;
      if (!outgoing.write(chunk)) {
        await Promise.race([over, new Promise((resolve) => outgoing.once("drain", resolve))]);
      }
    }
    outgoing.destroy();
    expect(sent).toBeLessThan(16 * 1024 * 1024);
    expect((await ask({ path: "/v1/secrets" })).status).toBe(200);
  });

  test("almost a megabyte is taken", async () => {
    const many = Array.from({ length: 5_000 }, (_, index) => ({ ...report, agent: `host-1/${index}` }));
    expect((await post({ reports: many })).status).toBe(200);
    expect(await it.local.journal.agents("app/db")).toHaveLength(5_000);
  });
});

describe("waking", () => {
  test("needs no token", async () => {
    await it.serve();
    const { status } = await ask({ method: "POST", path: "/v1/wake", token: undefined });
    expect([status, it.woken()]).toEqual([204, 1]);
    await it.local.bus.wake();
    expect(it.woken()).toBe(2);
  });

  test("is nobody's failure where nobody serves", async () => {
    await it.local.bus.wake();
    writeFileSync(it.local.socketPath, "");
    await it.local.bus.wake();
  });
});

test("an agent's own transport understands all of it", async () => {
  await it.serve();
  const transport = new LocalTransport({
    socket: it.local.socketPath,
    token: it.token,
    clock: systemClock,
    chance: Math.random,
  });
  const stop = new AbortController();
  const events = await transport.events(stop.signal);
  expect(await transport.list()).toHaveLength(2);
  expect(await transport.read("app/db", "current")).toMatchObject({ version: "v1" });
  expect(await transport.read("app/cut", "pending")).toBeUndefined();
  expect(await transport.report([report])).toEqual({ refusedHolds: [] });
  await expect(transport.read("other/db", "current")).rejects.toMatchObject({ code: "access-denied" });
  for await (const line of events) {
    expect(line).toBe("");
    break;
  }
  stop.abort();
  transport.close();
});
