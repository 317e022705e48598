import fc from "fast-check";
import { expect, test } from "vitest";
import type { EventType } from "../core/events.ts";
import { FakeClock, settle } from "./fake-clock.contract.ts";
import { FakeService } from "./fake-service.contract.ts";
import { connect, type RotationNotice } from "./index.ts";

/** Whatever is said on the stream of events, in whatever order and how often: the agent has what the store has, and asks it no more than it may. */
const ref = "billing/db";
const ttlMs = 10_000;
const spreadMs = 1_000;
const hourMs = 3_600_000;

const types: readonly EventType[] = [
  "dev.keyturn.secret.rotated.v1",
  "dev.keyturn.secret.revoked.v1",
  "dev.keyturn.secret.adopted.v1",
  "dev.keyturn.secret.retired.v1",
  "dev.keyturn.rotation.failed.v1",
];

/** An event that fits the format: true, forged, of another epoch, or from a clock that is an hour off. */
const event = fc
  .record({
    type: fc.constantFrom(...types),
    subject: fc.constantFrom(ref, ref, "other/secret", "../../etc/passwd"),
    version: fc.constantFrom("v0", "v1", "v2", "v3", "v4", "forged"),
    epoch: fc.integer({ min: -1, max: 9 }),
    urgent: fc.boolean(),
    offMs: fc.constantFrom(-hourMs, 0, hourMs),
  })
  .map(({ type, subject, version, epoch, urgent, offMs }) =>
    JSON.stringify({
      specversion: "1.0",
      id: `${subject}/${epoch}/${type}`,
      source: "keyturn/somebody",
      subject,
      time: new Date(1_700_000_000_000 + offMs).toISOString(),
      datacontenttype: "application/json",
      type,
      data: {
        epoch,
        version,
        urgent,
        agents: 1,
        sessionsEnded: 0,
        outcome: "halted",
        code: "x",
        reason: "x",
      },
    }),
  );

const happening = fc.oneof(
  { weight: 6, arbitrary: fc.record({ line: event, times: fc.constantFrom(1, 1, 2, 50) }) },
  { weight: 2, arbitrary: fc.record({ rotates: fc.constant(true) }) },
  { weight: 2, arbitrary: fc.record({ waitMs: fc.integer({ min: 1, max: 2 * ttlMs }) }) },
  { weight: 1, arbitrary: fc.record({ hangsUp: fc.constant(true) }) },
);

test("forged, repeated, reordered and late events are a reason to read, and nothing else", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { minLength: 1, maxLength: 25 }), async (happenings) => {
      const service = new FakeService();
      service.cacheTtlMs = ttlMs;
      const clock = new FakeClock();
      let version = 1;
      service.put(ref, "v1", { password: "of v1" });
      const client = await connect({
        transport: service,
        agent: "invoices/1",
        fleet: "invoices",
        clock,
        chance: () => 0.5,
        spreadMs,
        log: () => undefined,
      });
      const notices: RotationNotice[] = [];
      client.subscribeToRotation(ref, (notice) => notices.push(notice));
      await client.getSecret(ref);
      await settle();
      for (const what of happenings) {
        if ("line" in what) for (let count = 0; count < what.times; count += 1) service.say(what.line);
        if ("hangsUp" in what) service.hangUp();
        if ("waitMs" in what) await clock.advance(what.waitMs);
        if ("rotates" in what) {
          version += 1;
          service.put(ref, `v${version}`, { password: `of v${version}` });
        }
        // In the cache may be an older value, until its time is over; what an event says never is.
        const held = await client.getSecret(ref);
        expect(Number(held.version.slice(1))).toBeLessThanOrEqual(version);
        expect(held.field("password")).toBe(`of ${held.version}`);
      }
      await clock.advance(2 * ttlMs);
      expect((await client.getSecret(ref)).version).toBe(`v${version}`);
      // Only what was read is told of, each version once and in its order.
      const told = notices.map((notice) => Number(notice.version.slice(1)));
      expect(told).toEqual([...new Set(told)].sort((one, other) => one - other));
      // One read for a pulse, and one for a burst of events or a stream that came back: not one for each event.
      const mostReads = 2 + clock.now() / (ttlMs * 0.7) + 2 * happenings.length;
      expect(service.reads(ref)).toBeLessThanOrEqual(mostReads);
      expect(service.calls.filter((call) => /passwd|other/.test(call))).toEqual([]);
      await client.close();
    }),
    // No clock ends it early: what was not tried has not passed.
    { numRuns: 100, seed: Number(process.env.SEED ?? 7), endOnFailure: true },
  );
});
