import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adopt } from "../core/adopt.ts";
import { type StopMode, Trap } from "../core/crash.contract.ts";
import { request, versionMark } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import { rotator } from "../rotators/postgres-alternating.ts";
import { accepts, expectImported, type ImportWorld, openWorld, ref, rotate } from "./import-world.ts";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres({ maxConnections: 200 });
});

afterAll(async () => {
  await server.stop();
});

describe.each<StopMode>(["before", "after"])("stopped %s a call", (mode) => {
  /** Every stop that an import comes to. */
  async function* stops(): AsyncGenerator<{ world: ImportWorld; trap: Trap; doomed: Promise<unknown> }> {
    for (let call = 1; call < 100; call += 1) {
      const world = await openWorld(server);
      const trap = new Trap(call, mode);
      const doomedRotator = trap.wrap("rotator", rotator);
      const ports: Ports = {
        ...world.ports,
        store: trap.wrap("store", world.ports.store),
        journal: trap.wrap("journal", world.ports.journal),
        audit: trap.wrap("audit", world.ports.audit),
        rotators: { load: async () => doomedRotator },
      };
      const doomed = adopt(ref, ports, world.value, "ann").catch((error: unknown) => error);
      const first = await Promise.race([doomed.then(() => "ended"), trap.hasStopped.then(() => "stopped")]);
      if (first === "ended") return;
      yield { world, trap, doomed };
      trap.thaw();
      await doomed;
    }
  }

  test("it is begun again, and comes to the same end", async () => {
    let count = 0;
    for await (const { world, trap } of stops()) {
      count += 1;
      expect(await accepts(world, world.value), trap.where).toBe(true);
      await adopt(ref, world.ports, world.value, "ann");
      await expectImported(world);
    }
    expect(count).toBeGreaterThanOrEqual(8);
  });

  test("what it has made current is cut first by an emergency at the first try, marked or not, and it brings nothing back", async () => {
    let count = 0;
    for await (const { world, trap, doomed } of stops()) {
      const { ports, value } = world;
      if ((await ports.store.read(ref, "current")) === undefined) continue;
      count += 1;
      const version = await versionMark(ref, ports, "current");
      await request(ref, ports, { kind: "emergency", by: "bob", version, cutFirst: true });
      await reconcile(ref, ports, { worker: "worker" });
      trap.thaw();
      await doomed;
      const { record } = await reconcile(ref, ports, { worker: "worker" });
      expect(record, trap.where).toMatchObject({ state: { phase: "idle" }, debts: [] });
      const told = (await Array.fromAsync(ports.audit.read(ref))).map(({ action }) => action);
      expect(told.indexOf("debt.paid"), trap.where).toBeGreaterThan(-1);
      expect(told.indexOf("debt.paid"), trap.where).toBeLessThan(told.indexOf("create.done"));
      expect(told, trap.where).not.toContain("retire.failed");
      expect(await accepts(world, value), trap.where).toBe(false);
      const current = await ports.store.read(ref, "current");
      expect(await accepts(world, current?.value ?? value), trap.where).toBe(true);
    }
    expect(count).toBeGreaterThanOrEqual(3);
  });

  test("it goes on after another has imported and rotated, and overwrites nothing", async () => {
    let count = 0;
    for await (const { world, trap, doomed } of stops()) {
      count += 1;
      await adopt(ref, world.ports, world.value, "bob");
      await rotate(world);
      const current = await world.ports.store.read(ref, "current");
      trap.thaw();
      await doomed;
      expect((await world.ports.store.read(ref, "current"))?.version, trap.where).toBe(current?.version);
      expect(await accepts(world, world.value), trap.where).toBe(false);
      expect(await rotate(world), trap.where).toMatchObject({ state: { phase: "idle" }, debts: [] });
    }
    expect(count).toBeGreaterThanOrEqual(8);
  });

  test("it is never begun again, and the next rotation leaves nothing alive that the store had as current", async () => {
    let count = 0;
    for await (const { world, trap } of stops()) {
      const imported = await world.ports.store.read(ref, "current");
      expect(await rotate(world), trap.where).toMatchObject({ state: { phase: "idle" }, debts: [] });
      expect(await accepts(world, world.value), trap.where).toBe(imported === undefined);
      if (imported !== undefined) count += 1;
    }
    expect(count).toBeGreaterThanOrEqual(3);
  });
});
