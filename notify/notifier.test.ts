import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import type { RotationEvent } from "../core/events.ts";
import { newRecord, type RotationRecord } from "../core/record.ts";
import { temporaryStore } from "../local/folder.contract.ts";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { openNotifyLedger } from "../local/notify-ledger.ts";
import type { NotifyChannel } from "../manifest/manifest.ts";
import { channelTo, channelValues, readerOf, sender } from "./channels.contract.ts";
import type { Delivery } from "./courier.ts";
import type { NotifyLedger } from "./ledger.ts";
import { Notifier } from "./notifier.ts";
import { fine, type Receiver, startReceiver } from "./receiver.contract.ts";

/** Long enough for a machine that is busy with other things. */
const patience = { timeout: 20_000, interval: 20 };

/** A real store with secrets, and a notifier that can be stopped and started over it. */
async function place(channels: readonly NotifyChannel[], refs: readonly string[] = ["billing/db"]) {
  const { local, options } = await temporaryStore();
  const lines: string[] = [];
  const deliveries: Delivery[] = [];
  const values: Record<string, string> = {};
  const running = new Set<Notifier>();
  const start = async (wrap: (ledger: NotifyLedger) => NotifyLedger = (ledger) => ledger) => {
    const ledger = await openNotifyLedger(join(options.path, "notify.db"), local.clock.now());
    const notifier = new Notifier({
      channels: new Map(channels.map((channel) => [channel.name, channel])),
      secrets: {
        get: (ref) =>
          refs.includes(ref) ? { tenant: undefined, policy: defaultTestPolicy, notify: [] } : undefined,
        refs: () => refs,
      },
      journal: local.journal,
      bus: local.bus,
      ledger: wrap(ledger),
      clock: local.clock,
      log: (level, message, fields) => lines.push(`${level} ${message} ${JSON.stringify(fields)}`),
      sender,
      readSecret: (ref, stage) => readerOf(values)(ref, stage),
      onDelivery: (delivery) => deliveries.push(delivery),
      timeoutMs: 5_000,
      backoff: { firstMs: 20, mostMs: 100 },
      pace: { eventsMs: 20, openMs: 50 },
    });
    running.add(notifier);
    return {
      ledger,
      stop: async () => {
        running.delete(notifier);
        await notifier.stop();
        ledger[Symbol.dispose]();
      },
    };
  };
  onTestFinished(async () => {
    for (const notifier of running) await notifier.stop();
  });
  const save = async (state: RotationRecord["state"], ref = "billing/db"): Promise<void> => {
    const loaded = await local.journal.load(ref);
    await local.journal.save({ ...(loaded?.record ?? newRecord(ref)), state }, loaded?.revision);
  };
  return { local, lines, deliveries, values, start, save };
}

function halted(at = Date.now()): RotationRecord["state"] {
  return { phase: "halted", from: "set", code: "superseded", reason: "epoch 9 was seen", at };
}

function rotated(epoch: number): RotationEvent {
  return {
    specversion: "1.0",
    id: `billing/db/${epoch}/rotated`,
    source: "keyturn/test",
    subject: "billing/db",
    time: new Date().toISOString(),
    datacontenttype: "application/json",
    type: "dev.keyturn.secret.rotated.v1",
    data: { epoch, version: `v${epoch}`, urgent: false },
  };
}

function idsAt(receiver: Receiver): readonly unknown[] {
  return receiver.received.map(({ headers }) => headers["webhook-id"]);
}

test("a halted rotation pages, and the page ends when a person has looked", async () => {
  const receiver = await startReceiver();
  const { values, start, save } = await place([channelTo(receiver, "pagerduty")]);
  Object.assign(values, channelValues(receiver));
  await save(halted());
  await start();
  await vi.waitFor(() => expect(receiver.received).toHaveLength(1), patience);
  await save({ phase: "idle" });
  await vi.waitFor(() => expect(receiver.received).toHaveLength(2), patience);
  const [trigger, resolve] = receiver.bodies();
  expect(trigger).toMatchObject({ event_action: "trigger" });
  expect(resolve).toMatchObject({ event_action: "resolve", dedup_key: Object(trigger).dedup_key });
});

test("a receiver that is down gets everything when it is back, in order, while the others get it at once", async () => {
  const down = await startReceiver();
  const up = await startReceiver();
  const { values, local, start, deliveries } = await place([
    channelTo(down, "webhook", { name: "down", on: ["rotated"] }),
    channelTo(up, "webhook", { name: "up", on: ["rotated"] }),
  ]);
  Object.assign(values, channelValues(down));
  down.behave((response) => void response.writeHead(503).end());
  // Events from before anybody asked to be told are not told.
  await local.bus.publish(rotated(0));
  const { ledger } = await start();
  await vi.waitFor(async () => expect(await ledger.place()).toBe(1), patience);
  for (const epoch of [1, 2, 3]) await local.bus.publish(rotated(epoch));
  await vi.waitFor(() => expect(idsAt(up)).toHaveLength(3), patience);
  expect(deliveries.some(({ channel, outcome }) => channel === "down" && outcome === "failed")).toBe(true);
  expect(deliveries.some(({ channel, outcome }) => channel === "down" && outcome === "delivered")).toBe(
    false,
  );
  down.behave(fine);
  const delivered = () =>
    deliveries.filter(({ channel, outcome }) => channel === "down" && outcome === "delivered");
  await vi.waitFor(() => expect(delivered()).toHaveLength(3), patience);
  expect(new Set(idsAt(down))).toEqual(new Set([1, 2, 3].map((epoch) => `billing/db/${epoch}/rotated`)));
});

test("what was not delivered is delivered by the next process, and what was is not sent again", async () => {
  const receiver = await startReceiver();
  const { values, start, save } = await place([channelTo(receiver, "webhook")], ["billing/db", "other/db"]);
  Object.assign(values, channelValues(receiver));
  receiver.behave((response) => void response.writeHead(500).end());
  const at = Date.now();
  await save(halted(at));
  const first = await start();
  await vi.waitFor(() => expect(receiver.received.length).toBeGreaterThan(1), patience);
  await first.stop();
  expect(new Set(idsAt(receiver))).toEqual(new Set([`billing/db/halted/${at}`]));

  receiver.behave(fine);
  const before = receiver.received.length;
  const second = await start();
  await vi.waitFor(() => expect(receiver.received.length).toBe(before + 1), patience);
  await second.stop();
  // The third one shows by what comes after that nothing came before it.
  await save(halted(at), "other/db");
  await start();
  await vi.waitFor(() => expect(receiver.received.length).toBe(before + 2), patience);
  expect(idsAt(receiver).slice(before)).toEqual([`billing/db/halted/${at}`, `other/db/halted/${at}`]);
});

test("who dies between sending and noting it sends it again under the same id", async () => {
  const receiver = await startReceiver();
  const { values, start, save } = await place([channelTo(receiver, "webhook")]);
  Object.assign(values, channelValues(receiver));
  const at = Date.now();
  await save(halted(at));
  const dead = Promise.withResolvers<void>();
  await start((ledger) => ({ ...ledger, settle: () => dead.promise }));
  try {
    await vi.waitFor(() => expect(receiver.received).toHaveLength(1), patience);
    // The first one never gets any further: it is dead, as far as anybody can tell.
    await start();
    await vi.waitFor(() => expect(receiver.received).toHaveLength(2), patience);
  } finally {
    dead.resolve();
  }
  expect(new Set(idsAt(receiver))).toEqual(new Set([`billing/db/halted/${at}`]));
});

test("one notice that its receiver never takes lets the others pass, but for what concerns the same thing", async () => {
  const receiver = await startReceiver();
  const refs = ["bad/db", "good/db"];
  const { values, start, save } = await place([channelTo(receiver, "webhook")], refs);
  Object.assign(values, channelValues(receiver));
  const at = Date.now();
  receiver.behave((response, { headers }) => {
    response.writeHead(headers["webhook-id"] === `bad/db/halted/${at}` ? 500 : 200).end();
  });
  for (const ref of refs) await save(halted(at), ref);
  await start();
  await vi.waitFor(() => expect(idsAt(receiver)).toContain(`good/db/halted/${at}`), patience);
  for (const ref of refs) await save({ phase: "idle" }, ref);
  await vi.waitFor(() => expect(idsAt(receiver)).toContain(`good/db/halted/${at}/resolved`), patience);
  expect(idsAt(receiver)).not.toContain(`bad/db/halted/${at}/resolved`);
});

test("Retry-After is waited for", async () => {
  const receiver = await startReceiver();
  const { values, start, save } = await place([channelTo(receiver, "webhook")]);
  Object.assign(values, channelValues(receiver));
  const times: number[] = [];
  receiver.behave((response, _, count) => {
    times.push(performance.now());
    response.writeHead(count === 1 ? 429 : 200, { "retry-after": "1" }).end();
  });
  await save(halted());
  await start();
  await vi.waitFor(() => expect(times).toHaveLength(2), patience);
  // A timer may be a moment early, never much.
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(950);
});

test("a receiver that is gone hears nothing more, and somebody else is told of what must be told", async () => {
  const gone = await startReceiver();
  const other = await startReceiver();
  const { values, start, save, lines } = await place([
    channelTo(gone, "webhook", { name: "gone" }),
    channelTo(other, "webhook", { name: "other" }),
  ]);
  Object.assign(values, channelValues(gone));
  gone.behave((response) => void response.writeHead(410).end());
  await save(halted());
  await start();
  await vi.waitFor(() => expect(gone.received).toHaveLength(1), patience);
  await vi.waitFor(() => expect(other.received).toHaveLength(1), patience);
  await save({ phase: "idle" });
  await vi.waitFor(() => expect(other.received).toHaveLength(2), patience);
  expect(gone.received).toHaveLength(1);
  expect(lines.some((line) => line.startsWith("error the channel is gone"))).toBe(true);
});

test("a channel whose secret is not stored is warned of, and works as soon as it is", async () => {
  const receiver = await startReceiver();
  const { values, start, save, lines } = await place([channelTo(receiver, "webhook")]);
  await save(halted());
  await start();
  await vi.waitFor(
    () => expect(lines.some((line) => line.includes("keyturn put ops/signing"))).toBe(true),
    patience,
  );
  Object.assign(values, channelValues(receiver));
  await vi.waitFor(() => expect(receiver.received).toHaveLength(1), patience);
});

test("a hanging receiver does not keep a notifier from stopping", async () => {
  const receiver = await startReceiver();
  const { values, start, save } = await place([channelTo(receiver, "slack")]);
  Object.assign(values, channelValues(receiver));
  receiver.behave(() => undefined);
  await save(halted());
  const notifier = await start();
  await vi.waitFor(() => expect(receiver.received).toHaveLength(1), patience);
  const before = performance.now();
  await notifier.stop();
  expect(performance.now() - before).toBeLessThan(4_000);
});

test("a record that nobody can read keeps nobody from being told of the others", async () => {
  const receiver = await startReceiver();
  const refs = ["a/broken", "b/fine"];
  const { values, start, save, local, lines } = await place([channelTo(receiver, "webhook")], refs);
  Object.assign(values, channelValues(receiver));
  await local.journal.save({ ...newRecord("a/broken"), schema: 99 as never }, undefined);
  const at = Date.now();
  await save(halted(at), "b/fine");
  await start();
  await vi.waitFor(() => expect(idsAt(receiver)).toEqual([`b/fine/halted/${at}`]), patience);
  expect(lines.some((line) => line.includes("schema-newer"))).toBe(true);
});

test("without events the journal is looked at", async () => {
  const receiver = await startReceiver();
  const { values, start, save, local, lines } = await place([channelTo(receiver, "webhook")]);
  Object.assign(values, channelValues(receiver));
  local.bus[Symbol.dispose]();
  const at = Date.now();
  await save(halted(at));
  await start();
  await vi.waitFor(() => expect(idsAt(receiver)).toEqual([`billing/db/halted/${at}`]), patience);
  expect(lines.filter((line) => line.startsWith("warn events cannot be read"))).toHaveLength(1);
});
