import { beforeEach, describe, expect, it } from "vitest";
import { AgentSecret } from "./agent-secret.ts";
import { CredentialPool } from "./credential-pool.ts";
import { FakeClock, settle } from "./fake-clock.contract.ts";

/** A connection of a protocol that has no server: a test says when it opens, closes and dies. */
interface FakeConnection {
  readonly version: string;
  readonly die: () => void;
  readonly finishClosing: () => void;
}

const ref = "billing/db";
let clock: FakeClock;
let current: AgentSecret;
let listener: () => void;
let retained: string[];
let opened: FakeConnection[];
/** What the next openings do, instead of succeeding at once. */
let openings: (() => Promise<void>)[];
let closesAtOnce: boolean;

beforeEach(() => {
  clock = new FakeClock();
  current = secret("v1");
  retained = [];
  opened = [];
  openings = [];
  closesAtOnce = true;
});

function secret(version: string): AgentSecret {
  return new AgentSecret({ ref, version, value: "{}", overlap: "both-live", cacheTtlMs: 1_000 });
}

function createPool(max: number): CredentialPool<FakeConnection> {
  const closings = new Map<FakeConnection, PromiseWithResolvers<void>>();
  const reader = {
    getSecret: async () => current,
    refresh: async () => current,
    readPending: async () => undefined,
    subscribeToRotation: (_ref: string, heard: () => void) => {
      listener = heard;
      return () => undefined;
    },
    used: () => undefined,
    retain: (_ref: string, version: string) => {
      retained.push(version);
      return () => void retained.splice(retained.indexOf(version), 1);
    },
  };
  const protocol = {
    open: async ({ version }: AgentSecret, lost: () => void) => {
      await openings.shift()?.();
      const closing = Promise.withResolvers<void>();
      const connection = { version, die: lost, finishClosing: () => closing.resolve() };
      closings.set(connection, closing);
      opened.push(connection);
      return connection;
    },
    close: async (connection: FakeConnection) => {
      if (!closesAtOnce) await closings.get(connection)?.promise;
    },
    refused: (error: unknown) => error === "refused",
    cutOff: (error: unknown) => error === "cut off",
  };
  return new CredentialPool(reader, ref, {
    protocol,
    max,
    idleMs: 60_000,
    waitMs: 10_000,
    clock,
    chance: () => 0.5,
    log: () => undefined,
  });
}

/** A pool that has proven its first login, and has no connection left. */
async function createEmptyPool(max: number): Promise<CredentialPool<FakeConnection>> {
  const pool = createPool(max);
  await settle();
  (await pool.checkout()).release(true);
  await settle();
  expect(pool.total).toBe(0);
  return pool;
}

async function rotateTo(version: string): Promise<void> {
  current = secret(version);
  listener();
  await settle();
}

describe("connections", () => {
  it("count until the server has let them go, and are in use until then", async () => {
    closesAtOnce = false;
    const pool = createPool(2);
    const leases = [await pool.checkout(), await pool.checkout()];
    await rotateTo("v2");
    leases[0]?.release(false);
    await settle();
    // Its place is not free yet, so the new version cannot be proven yet.
    expect(opened.map(({ version }) => version)).toEqual(["v1", "v1"]);
    opened.find((connection) => connection === leases[0]?.connection)?.finishClosing();
    await settle();
    expect(opened.map(({ version }) => version)).toEqual(["v1", "v1", "v2"]);
    leases[1]?.release(false);
    expect(retained).toContain("v1");
    leases[1]?.connection.finishClosing();
    await settle();
    expect(new Set(retained)).toEqual(new Set(["v2"]));
  });

  it("are proven with a new version before those who wait get one", async () => {
    const pool = createPool(1);
    const held = await pool.checkout();
    const waiting = [pool.checkout(), pool.checkout()];
    await rotateTo("v2");
    held.release(false);
    for (const one of waiting) {
      const lease = await one;
      expect(lease.connection.version).toBe("v2");
      lease.release(false);
    }
    expect(opened.length).toBe(2);
  });

  it("that died at rest are not handed out, even if the news had not been read yet", async () => {
    const pool = createPool(1);
    (await pool.checkout()).release(false);
    await clock.advance(1_000);
    const [first] = opened;
    const next = pool.checkout();
    // The event loop delivers it in its next turn.
    setImmediate(() => first?.die());
    const lease = await next;
    expect(lease.lost).toBe(false);
    expect(lease.connection).not.toBe(first);
  });

  it("that were released twice are free once", async () => {
    const pool = createPool(2);
    const lease = await pool.checkout();
    lease.release(false);
    lease.release(false);
    expect(pool.idle).toBeLessThanOrEqual(pool.total);
    const both = await Promise.all([pool.checkout(), pool.checkout()]);
    expect(both[0]?.connection).not.toBe(both[1]?.connection);
  });

  it("are all closed at the end, also one that was being opened", async () => {
    const pool = createPool(2);
    await settle();
    const gate = Promise.withResolvers<void>();
    const held = await pool.checkout();
    openings.push(() => gate.promise);
    const opening = pool.checkout().catch((error: Error) => error);
    await settle();
    let ended = false;
    const ending = pool.end().then(() => {
      ended = true;
    });
    held.release(false);
    await settle();
    expect(ended).toBe(false);
    gate.resolve();
    await ending;
    expect(await opening).toMatchObject({ code: "request-refused" });
    expect([pool.total, retained.length]).toEqual([0, 0]);
  });
});

describe("a change of version", () => {
  it("is not undone by a proof of the old one that took longer", async () => {
    const pool = await createEmptyPool(4);
    // A login is refused by mistake, and the proof that follows is slow.
    const gate = Promise.withResolvers<void>();
    openings.push(
      () => Promise.reject("refused"),
      () => gate.promise,
    );
    const slow = pool.checkout();
    await settle();
    await rotateTo("v2");
    gate.resolve();
    (await slow).release(false);
    await settle();
    const lease = await pool.checkout();
    expect(lease.connection.version).toBe("v2");
    expect(new Set(retained)).toEqual(new Set(["v2"]));
  });

  it("reaches the newest version when the proofs of two end in the wrong order", async () => {
    const pool = await createEmptyPool(4);
    const [second, third] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    openings.push(
      () => second.promise,
      () => Promise.reject("refused"),
      () => third.promise,
    );
    await rotateTo("v2");
    current = secret("v3");
    const refused = pool.checkout();
    await settle();
    await rotateTo("v3");
    second.resolve();
    await settle();
    third.resolve();
    (await refused).release(false);
    await settle();
    const lease = await pool.checkout();
    expect(lease.connection.version).toBe("v3");
    lease.release(false);
    expect(new Set(retained)).toEqual(new Set(["v3"]));
  });

  it("is tried again at once when another rotation comes, whatever the last one's failures", async () => {
    const pool = createPool(2);
    (await pool.checkout()).release(false);
    openings.push(() => Promise.reject("refused"));
    await rotateTo("v2");
    await rotateTo("v3");
    const lease = await pool.checkout();
    expect(lease.connection.version).toBe("v3");
  });
});

describe("a checkout", () => {
  it("opens another connection when the first is cut off before it is ready, and gives up in the end", async () => {
    const pool = await createEmptyPool(1);
    openings.push(() => Promise.reject("cut off"));
    const lease = pool.checkout();
    await clock.advance(1_000);
    (await lease).release(true);
    await settle();
    openings.push(...Array.from({ length: 9 }, () => () => Promise.reject("cut off")));
    const hopeless = pool.checkout().catch((error: unknown) => error);
    await clock.advance(10_000);
    expect(await hopeless).toBe("cut off");
  });

  it("trusts no resting connection of a version whose session was ended from outside", async () => {
    const pool = createPool(3);
    const leases = await Promise.all([pool.checkout(), pool.checkout()]);
    for (const lease of leases) lease.release(false);
    expect(pool.idle).toBeGreaterThanOrEqual(2);
    await pool.distrust("v1");
    await settle();
    expect(pool.idle).toBe(0);
  });
});
