import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { describeEventBus } from "../core/event-bus.contract.ts";
import type { RotationEvent } from "../core/events.ts";
import { openEventBus } from "./event-bus.ts";
import { temporaryFolder } from "./folder.contract.ts";
import { steppedClock } from "./memory.ts";
import { Waker } from "./wake.ts";

const day = 24 * 60 * 60 * 1000;

async function openAt(folder: string) {
  const clock = steppedClock(1_000 * day);
  const waker = new Waker(join(folder, "nobody.sock"));
  const bus = await openEventBus(join(folder, "events.db"), true, { clock, waker });
  const published = async () => (await bus.readEvents(0, 1_000)).events;
  const close = async () => {
    await waker.settled();
    bus[Symbol.dispose]();
  };
  return { bus, clock, published, close };
}

function event(epoch: number): RotationEvent {
  return {
    specversion: "1.0",
    id: `a/${epoch}/rotated`,
    source: "keyturn/test",
    subject: "a",
    time: "2026-01-01T00:00:00.000Z",
    datacontenttype: "application/json",
    type: "dev.keyturn.secret.rotated.v1",
    data: { epoch, version: `v${epoch}`, urgent: false },
  };
}

describeEventBus("local", () => openAt(temporaryFolder()));

test("a reader goes on from its place, also to what another process has published", async () => {
  const folder = temporaryFolder();
  const one = await openAt(folder);
  const other = await openAt(folder);
  expect(await one.bus.end()).toBe(0);
  for (const epoch of [1, 2, 3]) await other.bus.publish(event(epoch));
  const first = await one.bus.readEvents(0, 2);
  expect(first.events).toEqual([event(1), event(2)]);
  const second = await one.bus.readEvents(first.next, 2);
  expect(second.events).toEqual([event(3)]);
  expect(await one.bus.readEvents(second.next, 2)).toEqual({ events: [], next: second.next });
  expect(await one.bus.end()).toBe(second.next);
  await one.close();
  await other.close();
});

test("what cannot be understood is passed over, and stops nobody", async () => {
  const folder = temporaryFolder();
  const { bus, close } = await openAt(folder);
  for (const epoch of [1, 2, 3, 4]) await bus.publish(event(epoch));
  using file = new DatabaseSync(join(folder, "events.db"));
  file.exec(`UPDATE events SET event = '{' WHERE sequence = 2`);
  file.exec(`UPDATE events SET event = json_set(event, '$.type', 'from the future') WHERE sequence = 4`);
  expect(await bus.readEvents(0, 10)).toEqual({ events: [event(1), event(3)], next: 4 });
  await close();
});

test("events are kept for a week, and their places are never used again", async () => {
  const { bus, clock, published, close } = await openAt(temporaryFolder());
  for (let epoch = 1; epoch <= 99; epoch += 1) await bus.publish(event(epoch));
  clock.advance(8 * day);
  expect(await published()).toHaveLength(99);
  await bus.publish(event(100));
  expect(await published()).toEqual([event(100)]);
  clock.advance(8 * day);
  for (let epoch = 101; epoch <= 200; epoch += 1) await bus.publish(event(epoch));
  expect((await bus.readEvents(100, 1_000)).events).toHaveLength(100);
  expect(await bus.end()).toBe(200);
  await close();
});

test("of more than a hundred thousand events the newest are kept", async () => {
  const folder = temporaryFolder();
  const { bus, close } = await openAt(folder);
  using file = new DatabaseSync(join(folder, "events.db"));
  file.exec(
    `WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < 100199)
     INSERT INTO events (at, event) SELECT 1e12, '{}' FROM many`,
  );
  await bus.publish(event(1));
  const counted = file.prepare("SELECT count(*) AS count, min(sequence) AS first FROM events").get();
  expect(counted).toEqual({ count: 100_000, first: 201 });
  await close();
});
