import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it, vi } from "vitest";
import { systemClock } from "./clock.ts";
import { serve } from "./fake-server.contract.ts";
import { FakeService } from "./fake-service.contract.ts";
import { connect, type RotationNotice } from "./index.ts";
import { LocalTransport } from "./local.ts";

const ref = "billing/db";
const token = "token-77";
const agent = { agent: "invoices/1", fleet: "invoices" };

async function setUp() {
  const service = new FakeService();
  service.put(ref, "v1", { password: "p1" });
  const server = await serve(service, () => token);
  return { service, server };
}

function transportTo(socket: string, secret = token): LocalTransport {
  return new LocalTransport({ socket, token: secret, clock: systemClock, chance: Math.random });
}

it("reads, lists, reports and hears events over the socket", async () => {
  const { service, server } = await setUp();
  await using _ = server;
  await using client = await connect({
    socket: server.socket,
    token: () => `${token}\n`,
    ...agent,
    spreadMs: 0,
  });
  const notices: RotationNotice[] = [];
  expect((await client.getSecret(ref)).field("password")).toBe("p1");
  expect(await client.listSecrets()).toEqual([{ ref, type: "test" }]);
  expect(await client.readPending(ref)).toBeUndefined();
  await expect(client.getSecret("no/such")).rejects.toMatchObject({ code: "secret-missing" });
  client.subscribeToRotation(ref, (notice) => notices.push(notice));
  await vi.waitUntil(() => service.streams === 1);
  service.put(ref, "v2", { password: "p2" });
  service.announce(ref, "v2", true);
  await vi.waitUntil(() => notices.length === 1);
  expect(service.lastReport("invoices/1", ref)?.inUse).toEqual(["v2"]);
});

it("rides out a restart: cached values are served, a cold read waits, and events come again", async () => {
  const { service, server } = await setUp();
  await using _ = server;
  service.put("other", "v1", {});
  await using client = await connect({ socket: server.socket, token, ...agent, spreadMs: 10 });
  await client.getSecret(ref);
  await vi.waitUntil(() => service.streams === 1);
  await server.stop();
  service.put(ref, "v2", { password: "p2" });
  expect((await client.getSecret(ref)).version).toBe("v1");
  const cold = client.getSecret("other");
  await sleep(150);
  await server.start();
  expect((await cold).version).toBe("v1");
  await vi.waitUntil(async () => (await client.getSecret(ref)).version === "v2", { timeout: 3_000 });
});

it("says who is not there, and who may not enter", async () => {
  const { server } = await setUp();
  await using _ = server;
  const stranger = transportTo(server.socket, "wrong");
  await expect(stranger.read(ref, "current")).rejects.toMatchObject({ code: "access-denied" });
  stranger.close();
  await expect(stranger.read(ref, "current")).rejects.toMatchObject({ code: "request-refused" });

  const lost = transportTo(`${server.socket}.not`);
  const error = await lost.read(ref, "current").catch((thrown: Error) => thrown);
  expect(error).toMatchObject({ code: "unreachable" });
  expect(String(error)).not.toContain(token);
  lost.close();
});

it("tries again while the store is down, for a bounded time, and stops when it is told to", async () => {
  const { service, server } = await setUp();
  await using _ = server;
  const transport = transportTo(server.socket);
  service.down = true;
  setTimeout(() => {
    service.down = false;
  }, 120);
  expect((await transport.read(ref, "current"))?.version).toBe("v1");

  service.down = true;
  await expect(transport.read(ref, "current")).rejects.toMatchObject({ code: "store-unavailable" });
  const begun = Date.now();
  await expect(transport.report([], AbortSignal.timeout(50))).rejects.toMatchObject({ code: "unreachable" });
  expect(Date.now() - begun).toBeLessThan(2_000);
  transport.close();
});

it("quotes nothing of an answer that it does not understand", async () => {
  const { server } = await setUp();
  await using _ = server;
  await server.stop();
  const liar = createServer((_incoming, outgoing) => void outgoing.end('{"value":"canary-1"'));
  await once(liar.listen(server.socket), "listening");
  const transport = transportTo(server.socket);
  const error = await transport.read(ref, "current").catch((thrown: Error) => thrown);
  expect(error).toMatchObject({ code: "store-unavailable" });
  expect(JSON.stringify(error) + String(error)).not.toContain("canary-1");
  transport.close();
  liar.closeAllConnections();
  liar.close();
});

it("does not keep a process alive that has nothing else to do", async () => {
  const { server } = await setUp();
  await using _ = server;
  const program = `
    import { connect } from ${JSON.stringify(import.meta.resolve("./index.ts"))};
    const client = await connect({ socket: ${JSON.stringify(server.socket)}, token: "${token}", agent: "a", fleet: "f" });
    console.log((await client.getSecret("${ref}")).version);`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program]);
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  const [code] = await once(child, "exit");
  expect([code, output.trim()]).toEqual([0, "v1"]);
});
