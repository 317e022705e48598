import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  agent,
  BillingDatabase,
  passwords,
  ref,
  released,
  underLoad,
  whoAmI,
} from "./billing-database.contract.ts";
import { createPool } from "./pg.ts";

let database: BillingDatabase;

beforeAll(async () => {
  database = await BillingDatabase.start();
});

afterAll(() => database[Symbol.asyncDispose]());

describe("a rotation under load", () => {
  it("fails no query over four changes of login, and never has more connections than its most", async () => {
    await using test = await database.setUp();
    const { service, put, pool } = test;
    const load = underLoad(pool);
    const stopWatching = await database.watchSessions();
    for (const [index, next] of ["billing_b", "billing_a", "billing_b", "billing_a"].entries()) {
      const version = `v${index + 2}`;
      await database.setLogin(next, `${passwords.b1}-${index}`);
      put(version, next, `${passwords.b1}-${index}`);
      service.announce(ref, version);
      await released(service, version);
      const old = next === "billing_a" ? "billing_b" : "billing_a";
      // What is reported as released is released: retiring it ends no session.
      expect(await database.cut(old)).toBe(0);
    }
    const { failures, done } = await load.stop();
    expect(failures).toEqual([]);
    expect(done).toBeGreaterThan(100);
    expect(await stopWatching()).toBeLessThanOrEqual(6);
    expect(pool.totalCount).toBeLessThanOrEqual(6);
  });

  it("leaves a transaction alone, and reports the old version as released only when it has ended", async () => {
    await using test = await database.setUp({ max: 2 });
    const { service, put, pool } = test;
    const transaction = await pool.connect();
    await transaction.query("BEGIN");
    await transaction.query("SET ROLE billing");
    await transaction.query("INSERT INTO notes VALUES ('kept')");
    put("v2", "billing_b", passwords.b1);
    service.announce(ref, "v2");
    await vi.waitUntil(() => service.lastReport(agent, ref)?.adopted === "v2");
    expect(await whoAmI(pool)).toBe("billing_b");
    expect(service.lastReport(agent, ref)?.inUse).toEqual(["v2", "v1"]);
    expect((await transaction.query("SELECT session_user AS name")).rows).toEqual([{ name: "billing_a" }]);
    await transaction.query("COMMIT");
    transaction.release();
    await released(service, "v2");
    expect(await database.sessionsOf("billing_a")).toBe(0);
    expect((await database.admin.query("SELECT * FROM notes")).rows).toEqual([{ text: "kept" }]);
    expect(() => transaction.release()).toThrowError(/released before/);
  });

  it("keeps the old login while the new one is refused, and changes over when it is accepted", async () => {
    await using test = await database.setUp();
    const { service, put, pool, lines } = test;
    expect(await whoAmI(pool)).toBe("billing_a");
    put("v2", "billing_b", passwords.wrong);
    service.announce(ref, "v2");
    await vi.waitUntil(() => lines.join().includes("the new login of billing/db is refused"));
    expect(await whoAmI(pool)).toBe("billing_a");
    expect(service.lastReport(agent, ref)).toMatchObject({ adopted: "v1", inUse: ["v2", "v1"] });
    await database.setLogin("billing_b", passwords.wrong);
    await released(service, "v2");
    expect(await whoAmI(pool)).toBe("billing_b");
  });

  it("proves a new login even in a pool that is not used, and at its most connections", async () => {
    await using test = await database.setUp({ max: 1, idleTimeoutMillis: 50 });
    const { service, put } = test;
    await vi.waitUntil(() => service.lastReport(agent, ref)?.adopted === "v1");
    put("v2", "billing_b", passwords.b1);
    service.announce(ref, "v2");
    await released(service, "v2");
    await vi.waitUntil(async () => (await database.sessionsOf("billing_a", "billing_b")) === 0);
  });
});

describe("a pool", () => {
  it("shows no value, whatever is printed", async () => {
    await using test = await database.setUp();
    const { pool, client, lines } = test;
    const checkedOut = await pool.connect();
    const shown = [pool, client, test].map((thing) => inspect(thing, { depth: 12, showHidden: true }));
    shown.push(inspect(checkedOut, { depth: 4 }), String(pool), JSON.stringify(pool));
    checkedOut.release();
    for (const text of [...shown, ...lines]) expect(text).not.toContain("canary");
  });

  it("talks to no server whose certificate it cannot verify", async () => {
    await using test = await database.setUp({ ssl: {} });
    await expect(whoAmI(test.pool)).rejects.toMatchObject({ code: "tls-failed" });
  });

  it("talks to no server whose certificate is for another host, although the right authority has signed it", async () => {
    await using test = await database.setUp();
    const { ca, port } = database.server;
    // The server is there by this name, and its certificate does not have it.
    const host = "127.1";
    test.service.put(ref, "v2", { ...database.credential("billing_a", passwords.a1), host, port });
    await test.client.refresh(ref);
    const names = [undefined, "db.example", "localhost"].map(async (servername) => {
      const ssl = servername === undefined ? { ca } : { ca, servername };
      const pool = createPool(test.client, ref, { ssl, max: 1 });
      try {
        return await whoAmI(pool);
      } catch (thrown) {
        return Object(thrown).code;
      } finally {
        await pool.end();
      }
    });
    expect(await Promise.all(names)).toEqual(["tls-failed", "tls-failed", "billing_a"]);
  });

  it("keeps a connection after a statement that failed, and says what the server said", async () => {
    await using test = await database.setUp({ max: 1 });
    const { pool } = test;
    const pid = async () =>
      (await pool.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows[0]?.pid;
    const before = await pid();
    await expect(pool.query("SELECT 1/0")).rejects.toMatchObject({ code: "22012" });
    expect(await pid()).toBe(before);
    const { rows } = await pool.query({ text: "SELECT $1::int, $2::text", rowMode: "array" }, [7, "x"]);
    expect(rows).toEqual([[7, "x"]]);
  });

  it("refuses what it would get wrong", async () => {
    await using test = await database.setUp();
    expect(await whoAmI(test.pool)).toBe("billing_a");
    expect(() => createPool(test.client, ref, { max: 0 })).toThrowError(/max/);
    const cursor = { text: "SELECT 1", submit: () => undefined };
    await expect(test.pool.query(cursor)).rejects.toMatchObject({ code: "input-invalid" });
    test.service.put(ref, "v2", { ...database.credential("billing_b", passwords.b1), port: "none" });
    await test.client.refresh(ref);
    await vi.waitUntil(() => test.lines.join().includes("no usable port"));
    expect(await whoAmI(test.pool)).toBe("billing_a");
  });

  it("lets a caller wait no longer than it was told", async () => {
    await using test = await database.setUp({ max: 1, connectionTimeoutMillis: 300 });
    const { pool } = test;
    const only = await pool.connect();
    await expect(pool.query("SELECT 1")).rejects.toMatchObject({ code: "timeout" });
    only.release();
    expect(await whoAmI(pool)).toBe("billing_a");
  });

  it("ends when what is checked out was released, and leaves no session and no report of use", async () => {
    const test = await database.setUp();
    const { pool, service } = test;
    const last = await pool.connect();
    let done = false;
    const ending = pool.end().then(() => {
      done = true;
    });
    await expect(pool.query("SELECT 1")).rejects.toMatchObject({ code: "request-refused" });
    await last.query("SELECT 1");
    expect(done).toBe(false);
    last.release();
    await ending;
    expect(await database.sessionsOf("billing_a")).toBe(0);
    await test[Symbol.asyncDispose]();
    expect(service.lastReport(agent, ref)).toMatchObject({ leaving: true, inUse: [] });
  });

  it("is one of fifty in a process without a storm of reads when all are cut at once", async () => {
    await using test = await database.setUp({ max: 1 });
    const { service, put, client } = test;
    const options = { ssl: { ca: database.server.ca }, max: 1, idempotent: true };
    const pools = Array.from({ length: 20 }, () => createPool(client, ref, options));
    await Promise.all(pools.map(whoAmI));
    put("v2", "billing_b", passwords.b1);
    const before = service.reads(ref);
    await database.cut("billing_a");
    expect(new Set(await Promise.all(pools.map(whoAmI)))).toEqual(new Set(["billing_b"]));
    expect(service.reads(ref) - before).toBeLessThanOrEqual(4);
    await Promise.all(pools.map((pool) => pool.end()));
  });
});
