import { expect } from "vitest";
import { createFingerprinter } from "../core/fingerprint.ts";
import { request, storeValue } from "../core/operate.ts";
import type { Clock, ManagedSecret, Ports } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import type { RotationRecord } from "../core/record.ts";
import { Secret } from "../core/secret.ts";
import { systemClock } from "../local/clock.ts";
import { memoryAuditLog, memoryEventBus, memoryJournal, memorySecretStore } from "../local/memory.ts";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { systemRandom } from "../local/random.ts";
import { rotator } from "../rotators/postgres-alternating.ts";
import type { PostgresServer } from "./postgres-server.ts";
import { createTarget, type PostgresTarget } from "./postgres-target.ts";

export const ref = "app/db";
export const password = "canary-legacy-Zk3-91fb07";

/** Everything that an import needs, on a real PostgreSQL, with stores in memory. */
export interface ImportWorld {
  readonly ports: Ports;
  readonly target: PostgresTarget;
  readonly value: Secret;
  readonly lines: string[];
  readonly clock: Clock & { advance(ms: number): void };
}

/** A fleet that logs in as the owner role itself, and nothing of Keyturn's but the administering login. */
export async function openWorld(server: PostgresServer): Promise<ImportWorld> {
  const target = await createTarget(server);
  await target.superuser.query(`ALTER ROLE ${target.owner} LOGIN PASSWORD '${password}'`);
  let moved = 0;
  const clock = {
    ...systemClock,
    now: () => systemClock.now() + moved,
    advance: (ms: number) => {
      moved += ms;
    },
  };
  const lines: string[] = [];
  const managed: ManagedSecret = {
    ref,
    type: "postgres-alternating",
    config: target.config,
    admin: "app/admin",
    policy: { ...defaultTestPolicy, graceAtMostMs: 3_000, stepDeadlineMs: 60_000 },
    fleets: ["agents"],
    tenant: undefined,
  };
  const ports: Ports = {
    installation: "test",
    store: memorySecretStore(clock),
    journal: memoryJournal(),
    bus: memoryEventBus(),
    audit: memoryAuditLog(),
    clock,
    random: systemRandom,
    log: (level, message, fields) => lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
    fingerprinter: createFingerprinter([{ id: "k1", bytes: new Uint8Array(32).fill(7) }]),
    secrets: { get: (name) => (name === ref ? managed : undefined), refs: () => [ref] },
    rotators: { load: async () => rotator },
  };
  await storeValue("app/admin", ports, target.admin, {});
  const { host, port, database } = target.config;
  const value = new Secret(
    `{ "username": "${target.owner}", "password": "${password}",\n "host": "${host}", "port": ${port}, "database": "${database}", "tag": 12345678901234567890 }`,
  );
  return { ports, target, value, lines, clock };
}

/** Whether the target lets the value in. */
export async function accepts({ target }: ImportWorld, value: Secret): Promise<boolean> {
  return target.client(value).then(
    (client) => client.end().then(() => true),
    () => false,
  );
}

/** Asks for a rotation and follows it until nothing is left to do. */
export async function rotate(world: ImportWorld): Promise<RotationRecord> {
  const { ports, clock } = world;
  await request(ref, ports, { kind: "rotate", by: "tester" });
  for (let turn = 0; turn < 200; turn += 1) {
    const { until, record } = await reconcile(ref, ports, { worker: "worker" });
    if (until === undefined || record.state.phase === "halted") return record;
    clock.advance(Math.max(1, until - clock.now()));
  }
  throw new Error("the rotation never comes to its end");
}

export async function verifierOf({ target }: ImportWorld): Promise<string | null> {
  const { rows } = await target.superuser.query(
    "SELECT rolpassword AS it FROM pg_authid WHERE rolname = $1",
    [target.owner],
  );
  return rows[0]?.it;
}

async function actionsOf({ ports }: ImportWorld): Promise<readonly string[]> {
  await reconcile(ref, ports, { worker: "worker" });
  return (await Array.fromAsync(ports.audit.read(ref))).map(({ action }) => action);
}

/** Imported once, the login as it was; and the next rotation leaves it behind. */
export async function expectImported(world: ImportWorld): Promise<void> {
  const { ports, value } = world;
  const loaded = await ports.journal.load(ref);
  const current = await ports.store.read(ref, "current");
  expect(current?.value.reveal()).toBe(value.reveal());
  expect(loaded?.record).toMatchObject({ state: { phase: "idle" }, current: { version: current?.version } });
  expect(await ports.store.read(ref, "pending")).toBeUndefined();
  expect((await actionsOf(world)).filter((action) => action === "imported")).toHaveLength(1);
  expect(await accepts(world, value)).toBe(true);
  expect(await rotate(world)).toMatchObject({ state: { phase: "idle" }, debts: [] });
  expect(await accepts(world, value)).toBe(false);
  const next = await ports.store.read(ref, "current");
  expect(next?.value.reveal()).toContain('"tag": 12345678901234567890 }');
  expect(await accepts(world, next?.value ?? value)).toBe(true);
}
