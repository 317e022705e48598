import { spawnSync } from "node:child_process";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { call, type World, world } from "./agent-server.contract.ts";
import { temporaryFolder } from "./folder.contract.ts";

let it: World;
beforeEach(async () => {
  it = await world();
});
const listStatus = async () =>
  (await call(it.local.socketPath, { path: "/v1/secrets", token: it.token })).status;

describe("the socket", () => {
  test("is for its owner only", async () => {
    await it.serve();
    expect(statSync(it.local.socketPath).mode & 0o777).toBe(0o600);
    expect(statSync(`${it.local.socketPath}.lock`).mode & 0o777).toBe(0o600);
  });

  test("is taken by one; the second is told, and the first goes on", async () => {
    const first = await it.serve();
    const running = { code: "request-refused", message: expect.stringContaining("another `keyturn serve`") };
    await expect(it.serve()).rejects.toMatchObject(running);
    expect(await listStatus()).toBe(200);
    await first.close();
    await it.serve();
    expect(await listStatus()).toBe(200);
  });

  test("of a dead process is replaced", async () => {
    const listenAndDie = `require("net").createServer().listen(${JSON.stringify(it.local.socketPath)}, () => process.kill(process.pid, "SIGKILL"))`;
    spawnSync(process.execPath, ["-e", listenAndDie]);
    expect(statSync(it.local.socketPath).isSocket()).toBe(true);
    await it.serve();
    expect(await listStatus()).toBe(200);
  });

  test("is not put in the place of another file", async () => {
    writeFileSync(it.local.socketPath, "mine");
    await expect(it.serve()).rejects.toMatchObject({ code: "request-refused" });
    expect(statSync(it.local.socketPath).size).toBe(4);
  });

  test("whose path is too long for the system is told so, with its length", async () => {
    const socketPath = join("/tmp", "x".repeat(100));
    const error = { code: "input-invalid", message: expect.stringContaining("has 105 bytes") };
    await expect(it.serve({ socketPath })).rejects.toMatchObject(error);
  });

  test("in a folder that is not there is told so", async () => {
    const socketPath = join(temporaryFolder(), "none", "agents.sock");
    await expect(it.serve({ socketPath })).rejects.toMatchObject({ code: "store-unavailable" });
  });
});
