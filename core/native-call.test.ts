import { expect, test } from "vitest";
import { patienceMs } from "./driven.ts";
import { KeyturnError } from "./errors.ts";
import { nativeRef, openNative } from "./native.contract.ts";
import { nativeStep } from "./native.ts";
import { request } from "./operate.ts";
import type { Ports } from "./ports.ts";
import type { RotationRecord } from "./record.ts";

const down = (times: number) => [new KeyturnError("unreachable", "no route to the database"), times] as const;

/** The journal, with what was saved in it. */
function watched(ports: Ports) {
  const saved: RotationRecord[] = [];
  const journal: Ports["journal"] = {
    ...ports.journal,
    save: async (record, revision) => {
      saved.push(record);
      return ports.journal.save(record, revision);
    },
  };
  return { saved, ports: { ...ports, journal } };
}

/** Somebody has it in hand, for so long. */
async function leased(ports: Ports, holder: string, until: number): Promise<void> {
  const loaded = await ports.journal.load(nativeRef);
  if (loaded === undefined) throw new Error("there is no record");
  await ports.journal.save({ ...loaded.record, lease: { holder, until } }, loaded.revision);
}

test("a call works under a name of its own, and its changes are told to whoever looks", async () => {
  const { ports, clock } = await openNative();
  const holders: unknown[] = [];
  const changes: string[] = [];
  await nativeStep({ step: "create", ref: nativeRef, token: "t1" }, ports, {
    until: clock.now() + 20_000,
    observe: ({ record }) => void changes.push(record.state.phase),
    trace: (step, carryOut) => {
      holders.push(step.record.lease?.holder);
      return carryOut();
    },
  });
  expect(holders).toEqual(["secrets-manager/t1"]);
  expect(changes).toContain("set");
});

test("the lease of a call that is over holds up none that comes after it; another worker's does", async () => {
  const { ports, clock, drive, slept } = await openNative();
  await drive("create", "t1");
  await leased(ports, "secrets-manager/t0", clock.now() + 15_000);
  await drive("set", "t1");
  expect(slept).toEqual([]);
  await leased(ports, "tick", clock.now() + 1_200);
  await drive("test", "t1");
  expect(slept).toEqual([500, 500, 500]);
});

test("what begins is left to whoever asked, for as long as patience lasts; what was put aside is looked at by a worker at once", async () => {
  const { ports, clock, drive } = await openNative();
  const { saved, ports: through } = watched(ports);
  const now = clock.now();
  await drive("create", "t1", through);
  expect(saved[0]).toMatchObject({
    state: { phase: "create", rotation: { id: "t1" } },
    dueAt: now + patienceMs({ stepDeadlineMs: 5_000 }),
  });
  await drive("set", "t1");
  await drive("test", "t1");
  await drive("finish", "t1");
  saved.splice(0);
  await expect(drive("create", "t2", through)).rejects.toThrow();
  expect(saved[0]).toMatchObject({ state: { phase: "grace" }, dueAt: clock.now() });
});

test("an empty version is put aside for a token that was closed, and for one that nobody knows; not for one that is being taken back", async () => {
  const { ports, drive, settle, target } = await openNative();
  const discarded: string[] = [];
  const through: Ports = {
    ...ports,
    store: {
      ...ports.store,
      discardPending: async (ref, id) => {
        discarded.push(id);
        await ports.store.discardPending(ref, id);
      },
    },
  };
  await drive("create", "t1");
  await request(nativeRef, ports, { kind: "cancel", by: "ann", insist: false });
  target.fail("retire", ...down(1));
  await expect(drive("create", "t1", through)).rejects.toThrow();
  expect(discarded).toEqual([]);
  await settle();
  await expect(drive("create", "t1", through)).rejects.toThrow();
  expect(discarded).toEqual(["t1"]);
});

test.each([
  [400, []],
  [500, []],
  [501, [500]],
])("who cannot clear the way within %d ms does not wait for it", async (budgetMs, waits) => {
  const { ports, clock, drive, slept } = await openNative();
  await drive("create", "t1");
  await leased(ports, "tick", clock.now() + 15_000);
  await expect(drive("create", "t2", ports, budgetMs)).rejects.toThrow();
  expect(slept).toEqual(waits);
});

test("a step is not waited for that cannot be done in the time of the call", async () => {
  const { target, ports, drive, slept } = await openNative();
  await drive("create", "t1");
  target.fail("set", ...down(1));
  await expect(drive("set", "t1", ports, 100)).rejects.toMatchObject({ code: "unreachable" });
  expect(slept).toEqual([]);
});
