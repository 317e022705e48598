import { describe, expect, it } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import type { SecretReply } from "../core/protocol.ts";
import { Cache, type RotationNotice } from "./cache.ts";
import { FakeClock, settle } from "./fake-clock.contract.ts";

const ref = "billing/db";
const ttlMs = 10_000;

function setUp(options: { readonly cacheTtlMs?: number; readonly chance?: () => number } = {}) {
  const clock = new FakeClock();
  const store = { version: "v1", down: false, takesMs: 5, reads: 0 };
  const notices: RotationNotice[] = [];
  const expired: string[] = [];
  const cache = new Cache({
    read: async (asked): Promise<SecretReply | undefined> => {
      store.reads += 1;
      const { version } = store;
      await clock.sleep(store.takesMs);
      if (store.down) throw new KeyturnError("unreachable", "the service is down");
      if (asked !== ref) return undefined;
      return { ref, version, value: `{"v":"${version}"}`, overlap: "both-live", cacheTtlMs: ttlMs };
    },
    clock,
    chance: options.chance ?? (() => 0.5),
    log: () => undefined,
    cacheTtlMs: options.cacheTtlMs ?? Number.POSITIVE_INFINITY,
    spreadMs: 1_000,
    changed: (notice) => notices.push(notice),
    expired: (gone) => expired.push(gone),
    ttlSeen: () => undefined,
  });
  /** What a reader gets: the version, or the code of the error. */
  const outcome = async (reading: Promise<{ secret: { version: string } }>) => {
    const settled = reading.then(
      (cached) => cached.secret.version,
      (error: KeyturnError) => error.code,
    );
    await clock.advance(store.takesMs);
    return settled;
  };
  return { clock, store, cache, notices, expired, outcome };
}

describe("a cached secret", () => {
  it("is read once for a thousand readers, when it is missing and when its life has ended", async () => {
    const { clock, store, cache, outcome } = setUp();
    const readAll = () => Promise.all(Array.from({ length: 1_000 }, () => cache.read(ref)));
    const [first] = await Promise.all([readAll(), outcome(cache.read(ref))]);
    expect(new Set(first).size).toBe(1);
    expect(store.reads).toBe(1);

    store.down = true;
    await clock.advance(ttlMs + 1);
    store.down = false;
    // A retry in the background may be under way at this moment, and is shared too.
    const before = store.reads;
    await Promise.all([readAll(), outcome(cache.read(ref))]);
    expect(store.reads - before).toBeLessThanOrEqual(1);
  });

  it("is read again at three quarters of its life, in the background", async () => {
    const { clock, store, cache, outcome } = setUp();
    await outcome(cache.read(ref));
    await clock.advance(7_400);
    expect(store.reads).toBe(1);
    store.version = "v2";
    await clock.advance(200);
    expect(store.reads).toBe(2);
    expect(cache.version(ref)).toBe("v2");
  });

  it("goes on being read at its pulse, for as long as it is used", async () => {
    const { clock, store, cache, outcome } = setUp();
    await outcome(cache.read(ref));
    await clock.advance(10 * ttlMs);
    expect(store.reads).toBeGreaterThanOrEqual(13);
    expect(store.reads).toBeLessThanOrEqual(15);
  });

  it("does not refresh in step with other agents", async () => {
    const early = setUp({ chance: () => 0 });
    const late = setUp({ chance: () => 0.99 });
    for (const { cache, outcome } of [early, late]) await outcome(cache.read(ref));
    for (const { clock } of [early, late]) await clock.advance(7_300);
    expect([early.store.reads, late.store.reads]).toEqual([2, 1]);
  });

  it("is served to the end of its life while the store is down, and not one moment longer", async () => {
    const { clock, store, cache, expired, outcome } = setUp();
    await outcome(cache.read(ref));
    store.down = true;
    const aliveUntil = ttlMs - 1;
    await clock.advance(aliveUntil - clock.now());
    expect(await cache.read(ref)).toMatchObject({ secret: { version: "v1" } });
    expect(store.reads).toBeGreaterThan(2);
    await clock.advance(1);
    expect(await outcome(cache.read(ref))).toBe("unreachable");
    expect(expired).toEqual([ref]);
    expect(cache.version(ref)).toBeUndefined();
  });

  it("counts its life from before the read began", async () => {
    const { clock, store, cache, outcome } = setUp();
    store.takesMs = 4_000;
    await outcome(cache.read(ref));
    store.takesMs = 5;
    store.down = true;
    await clock.advance(ttlMs - clock.now());
    expect(await outcome(cache.read(ref))).toBe("unreachable");
  });

  it("comes back by itself after an outage longer than its life, and tells what changed meanwhile", async () => {
    const { clock, store, cache, notices, outcome } = setUp();
    await outcome(cache.read(ref));
    store.down = true;
    await clock.advance(3 * ttlMs);
    store.down = false;
    store.version = "v2";
    await clock.advance(ttlMs);
    expect(cache.version(ref)).toBe("v2");
    expect(notices).toEqual([{ ref, version: "v2", previous: "v1", urgent: false }]);
  });

  it("lives no longer than its owner allows", async () => {
    const { clock, store, cache, outcome } = setUp({ cacheTtlMs: 1_000 });
    await outcome(cache.read(ref));
    await clock.advance(1_000);
    expect(store.reads).toBe(2);
  });

  it("is read after the call by refresh, even while an older read is under way", async () => {
    const { clock, store, cache } = setUp();
    const older = cache.read(ref);
    store.version = "v2";
    const fresh = [cache.refresh(ref), cache.refresh(ref)];
    await clock.advance(20);
    expect((await older).secret.version).toBe("v2");
    for (const one of fresh) expect((await one).secret.version).toBe("v2");
    expect(store.reads).toBe(2);
  });

  it("is gone for good once it is wiped, even if a read was under way", async () => {
    const { clock, store, cache, outcome } = setUp();
    await outcome(cache.read(ref));
    const refused = cache.refresh(ref).catch((error: KeyturnError) => error.code);
    cache.wipe();
    await clock.advance(100 * ttlMs);
    expect(await refused).toBe("request-refused");
    expect(cache.version(ref)).toBeUndefined();
    expect(store.reads).toBe(2);
  });

  it("says clearly that there is none, and does not go on asking", async () => {
    const { clock, store, cache, outcome } = setUp();
    expect(await outcome(cache.read("other"))).toBe("secret-missing");
    await clock.advance(10 * ttlMs);
    expect(store.reads).toBe(1);
  });
});

describe("a hint", () => {
  it("makes one read within the spread, however often it comes", async () => {
    const { clock, store, cache, notices, outcome } = setUp();
    await outcome(cache.read(ref));
    store.version = "v2";
    for (let count = 0; count < 100; count += 1) cache.hint(ref, false);
    await clock.advance(400);
    // One more does not put the read off.
    cache.hint(ref, false);
    await clock.advance(99);
    expect(store.reads).toBe(1);
    await clock.advance(10);
    expect(store.reads).toBe(2);
    expect(notices).toEqual([{ ref, version: "v2", previous: "v1", urgent: false }]);
  });

  it("that is urgent is followed within a tenth of the spread, and overtakes one that is not", async () => {
    const { clock, store, cache, notices, outcome } = setUp();
    await outcome(cache.read(ref));
    store.version = "v2";
    cache.hint(ref, false);
    cache.hint(ref, true);
    await clock.advance(60);
    expect(notices).toEqual([{ ref, version: "v2", previous: "v1", urgent: true }]);
  });

  it("about what was never read is ignored", async () => {
    const { clock, store, cache } = setUp();
    cache.hint("never/read", true);
    await clock.advance(ttlMs);
    await settle();
    expect(store.reads).toBe(0);
  });
});
