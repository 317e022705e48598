import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { RotationEvent } from "./events.ts";
import type { EventBus } from "./ports.ts";

export interface OpenedBus {
  readonly bus: EventBus;
  /** What subscribers have been told so far, at least once each, in any order. */
  published(): Promise<readonly RotationEvent[]>;
  close(): Promise<void>;
}

function rotated(epoch: number, reference = "app/db"): RotationEvent {
  return {
    specversion: "1.0",
    id: `${reference}/${epoch}/rotated`,
    source: "keyturn/test",
    subject: reference,
    time: "2026-01-01T00:00:00.000Z",
    datacontenttype: "application/json",
    type: "dev.keyturn.secret.rotated.v1",
    data: { epoch, version: `v${epoch}`, urgent: false },
  };
}

const failed: RotationEvent = {
  ...rotated(9),
  id: "app/db/9/halted",
  type: "dev.keyturn.rotation.failed.v1",
  data: { epoch: 9, outcome: "halted", code: "data-broken", reason: 'words "with" ünusual 😀 letters\n' },
};

/** Every promise of `EventBus`. A bus's own test calls this, and adds only what is peculiar to it. */
export function describeEventBus(name: string, open: () => Promise<OpenedBus>): void {
  describe(`${name} as an event bus`, () => {
    let opened: OpenedBus;
    beforeEach(async () => {
      opened = await open();
    });
    afterEach(() => opened.close());

    test("before the first event nobody is told anything", async () => {
      expect(await opened.published()).toEqual([]);
    });

    test("an event arrives as it was published", async () => {
      await opened.bus.publish(rotated(1));
      await opened.bus.publish(failed);
      const told = await opened.published();
      expect(told).toContainEqual(rotated(1));
      expect(told).toContainEqual(failed);
    });

    test("the same event published twice is told under one id, so that a subscriber can drop the second", async () => {
      await opened.bus.publish(rotated(1));
      await opened.bus.publish(rotated(1));
      const told = await opened.published();
      expect(told.length).toBeGreaterThanOrEqual(1);
      expect(new Set(told.map((event) => event.id))).toEqual(new Set(["app/db/1/rotated"]));
    });

    test("of many events published at once none is lost", async () => {
      const many = Array.from({ length: 50 }, (_, index) => rotated(index, `app/${index % 7}`));
      await Promise.all(many.map((event) => opened.bus.publish(event)));
      const ids = new Set((await opened.published()).map((event) => event.id));
      expect(ids).toEqual(new Set(many.map((event) => event.id)));
    });
  });
}
