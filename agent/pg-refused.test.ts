import { setTimeout as sleep } from "node:timers/promises";
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

let database: BillingDatabase;

beforeAll(async () => {
  database = await BillingDatabase.start();
});

afterAll(() => database[Symbol.asyncDispose]());

describe("an emergency", () => {
  it("fails no query of an idempotent pool when every session is ended and the login refused at once", async () => {
    await using test = await database.setUp({ idempotent: true });
    const { put, pool } = test;
    const load = underLoad(pool);
    await vi.waitUntil(() => load.count() > 50);
    put("v2", "billing_b", passwords.b1);
    // Nothing is announced: the pool finds out by itself.
    expect(await database.cut("billing_a")).toBeGreaterThan(0);
    const cutAt = Date.now();
    expect(await whoAmI(pool)).toBe("billing_b");
    expect(Date.now() - cutAt).toBeLessThan(3_000);
    await sleep(100);
    const { failures } = await load.stop();
    expect(failures).toEqual([]);
    expect(await database.sessionsOf("billing_a")).toBe(0);
  });

  it("sends a statement that was cut off again with what the store holds now, even if the old login still works", async () => {
    await using test = await database.setUp({ idempotent: true });
    const { put, pool } = test;
    await whoAmI(pool);
    const statement = pool.query("SELECT current_user AS name, pg_sleep(0.3)");
    await sleep(50);
    put("v2", "billing_b", passwords.b1);
    await database.endSessions("billing_a");
    expect((await statement).rows[0]).toMatchObject({ name: "billing_b" });
  });

  it("waits for the successor when the login is cut before there is one", async () => {
    await using test = await database.setUp({ idempotent: true });
    const { put, pool } = test;
    await whoAmI(pool);
    await database.cut("billing_a");
    const waiting = [whoAmI(pool), whoAmI(pool)];
    await sleep(300);
    put("v2", "billing_b", passwords.b1);
    expect(await Promise.all(waiting)).toEqual(["billing_b", "billing_b"]);
  });

  it("never repeats a statement that may have run, unless it is told that it may", async () => {
    await using test = await database.setUp();
    const { put, pool } = test;
    const before = await database.runs();
    const statement = pool.query("SELECT nextval('runs'), pg_sleep(5)");
    const failure = statement.catch((error: unknown) => error);
    await vi.waitUntil(async () => (await database.runs()) > before);
    put("v2", "billing_b", passwords.b1);
    await database.cut("billing_a");
    expect(await failure).toMatchObject({ code: "57P01" });
    expect(await whoAmI(pool)).toBe("billing_b");
    expect(await database.runs()).toBe(before + 1);
  });

  it("that ends idle sessions only is not noticed by anyone", async () => {
    await using test = await database.setUp();
    const { pool } = test;
    await Promise.all(Array.from({ length: 6 }, () => pool.query("SELECT pg_sleep(0.02)")));
    expect(pool.idleCount).toBe(6);
    await database.endSessions("billing_a");
    await vi.waitUntil(() => pool.idleCount === 0);
    expect(await whoAmI(pool)).toBe("billing_a");
  });

  it("ends a checked-out client's session without ending the process", async () => {
    await using test = await database.setUp();
    const { put, pool } = test;
    await whoAmI(pool);
    const client = await pool.connect();
    // Until then the one that proved the login at the start is used, too.
    await vi.waitUntil(() => pool.totalCount - pool.idleCount === 1);
    await sleep(10);
    put("v2", "billing_b", passwords.b1);
    await database.cut("billing_a");
    await expect(client.query("SELECT 1")).rejects.toBeDefined();
    client.release();
    // The one that proved the login at the start is cut off, too, and may not have been found dead yet.
    await vi.waitFor(async () => expect(await whoAmI(pool)).toBe("billing_b"), { timeout: 5_000 });
  });
});

describe("a refused login", () => {
  it("makes the pool read the store once for all who were refused", async () => {
    await using test = await database.setUp({ idleTimeoutMillis: 20 });
    const { service, put, pool } = test;
    await whoAmI(pool);
    await vi.waitUntil(() => pool.totalCount === 0);
    put("v2", "billing_b", passwords.b1);
    await database.cut("billing_a");
    const before = service.reads(ref);
    const names = await Promise.all(Array.from({ length: 20 }, () => whoAmI(pool)));
    expect(new Set(names)).toEqual(new Set(["billing_b"]));
    expect(service.reads(ref) - before).toBeLessThanOrEqual(2);
    expect(service.lastReport(agent, ref)).toMatchObject({ adopted: "v2", inUse: ["v2"] });
  });

  it("that stays refused is told, within the time that a caller waits, and without a value", async () => {
    await using test = await database.setUp({ connectionTimeoutMillis: 400, idleTimeoutMillis: 20 });
    const { pool, lines } = test;
    await whoAmI(pool);
    await vi.waitUntil(() => pool.totalCount === 0);
    await database.cut("billing_a");
    const error = await whoAmI(pool).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "login-refused", cause: { code: expect.stringMatching(/^28/) } });
    expect(inspect(error, { depth: 12, showHidden: true }) + lines.join()).not.toContain("canary");
  });

  it("of a cutover type is tried as current, as pending, and as current again", async () => {
    await using test = await database.setUp({ overlap: "cutover", idleTimeoutMillis: 20 });
    const { service, put, pool } = test;
    const noneOpen = () => vi.waitUntil(() => pool.totalCount === 0);
    await whoAmI(pool);

    // Set has changed the password; finish has not happened yet.
    await noneOpen();
    service.putPending(ref, "v2", database.credential("billing_a", passwords.a2));
    await database.setLogin("billing_a", passwords.a2);
    expect(await whoAmI(pool)).toBe("billing_a");
    expect(service.lastReport(agent, ref)?.inUse).toEqual(["v1", "v2"]);
    service.promote(ref);
    service.announce(ref, "v2");
    await released(service, "v2");

    // The next one is set, found to be bad, and undone.
    await noneOpen();
    service.putPending(ref, "v3", database.credential("billing_a", passwords.wrong));
    await database.setLogin("billing_a", passwords.wrong);
    await whoAmI(pool);
    await noneOpen();
    await database.setLogin("billing_a", passwords.a2);
    expect(await whoAmI(pool)).toBe("billing_a");
    await released(service, "v2");

    // Set, and finished between the reads of current and of pending.
    await noneOpen();
    await database.setLogin("billing_a", passwords.a1);
    const readPending = service.read.bind(service);
    service.read = async (asked, stage) => {
      if (stage === "pending") put("v4", "billing_a", passwords.a1);
      return stage === "pending" ? undefined : readPending(asked, stage);
    };
    expect(await whoAmI(pool)).toBe("billing_a");
    await released(service, "v4");
  });
});
