import { describe, expect, test } from "vitest";
import { describeAuditLog } from "../core/audit-log.contract.ts";
import { describeAuditRoots, type OpenedRoots } from "../core/audit-roots.contract.ts";
import { describeEventBus } from "../core/event-bus.contract.ts";
import { describeJournal } from "../core/journal.contract.ts";
import { describeSecretStore } from "../core/secret-store.contract.ts";
import {
  memoryAuditLog,
  memoryEventBus,
  memoryJournal,
  memorySecretStore,
  seededRandom,
  steppedClock,
} from "./memory.ts";
import { memoryAuditRoots } from "./memory-audit.ts";

const close = async (): Promise<void> => undefined;

describeSecretStore("memory", async () => ({ store: memorySecretStore(steppedClock(0)), close }));
describeJournal("memory", async () => ({ journal: memoryJournal(), close }));
describeAuditLog("memory", async () => ({ audit: memoryAuditLog(), close }));
describeAuditRoots("memory", async () => {
  const roots = memoryAuditRoots();
  const opened: OpenedRoots = { roots, close, reopen: async () => opened };
  return opened;
});
describeEventBus("memory", async () => {
  const bus = memoryEventBus();
  return { bus, published: async () => bus.events, close };
});

describe("the stepped clock", () => {
  test("moves only when it is told to, and wakes whoever has slept enough", async () => {
    const clock = steppedClock(1_000);
    const woken: string[] = [];
    const short = clock.sleep(10).then(() => woken.push("short"));
    const long = clock.sleep(20).then(() => woken.push("long"));
    clock.advance(9);
    await Promise.resolve();
    expect(woken).toEqual([]);
    clock.advance(1);
    await short;
    expect(woken).toEqual(["short"]);
    expect(clock.now()).toBe(1_010);
    clock.advance(100);
    await long;
  });

  test("a sleep ends with its signal's reason, also one that was given already", async () => {
    const clock = steppedClock(0);
    const controller = new AbortController();
    const sleeping = clock.sleep(10, controller.signal);
    controller.abort(new Error("enough"));
    await expect(sleeping).rejects.toThrow("enough");
    await expect(clock.sleep(10, controller.signal)).rejects.toThrow("enough");
  });
});

test("the same seed gives the same chance, another one another", () => {
  const bytes = (seed: number) => Buffer.from(seededRandom(seed).bytes(32)).toString("hex");
  expect(bytes(1)).toBe(bytes(1));
  expect(bytes(1)).not.toBe(bytes(2));
  expect(new Set(seededRandom(3).bytes(1_000)).size).toBeGreaterThan(200);
});
