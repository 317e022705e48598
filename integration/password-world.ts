import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { adopt } from "../core/adopt.ts";
import { request } from "../core/operate.ts";
import type { ManagedSecret, Policy, Ports } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import type { RotationRecord } from "../core/record.ts";
import { Secret } from "../core/secret.ts";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { type LocalStore, openLocal } from "../local/open.ts";
import { loadRotator } from "../rotators/registry.ts";
import type { PostgresServer } from "./postgres-server.ts";

/** A real local store whose administering login administers itself, and as many secrets of applications as a test wants. */
export interface PasswordWorld extends AsyncDisposable {
  readonly local: LocalStore;
  readonly ports: Ports;
  readonly secrets: ReadonlyMap<string, ManagedSecret>;
  readonly adminName: string;
  /** Everything that was logged. */
  readonly lines: readonly string[];
  manage(ref: string, secret: Pick<ManagedSecret, "type" | "config"> & { policy?: Partial<Policy> }): void;
  /** Asks for a rotation. */
  begin(ref: string): Promise<void>;
  /** Works until there is nothing left to do, or a person is needed. */
  settle(ref: string, worker?: string): Promise<RotationRecord>;
  current(ref: string): Promise<{ username: string; password: string }>;
  /** The audit's actions with their details, in order. */
  audit(ref: string): Promise<readonly string[]>;
}

export const adminRef = "ops/admin";

const quick: Policy = {
  ...defaultTestPolicy,
  cacheTtlMs: 50,
  graceAtLeastMs: 50,
  graceAtMostMs: 100,
  onLaggards: "retire",
  stepDeadlineMs: 20_000,
  retryBaseMs: 20,
  retryMaxMs: 100,
};

let worlds = 0;

export async function openWorld(server: PostgresServer): Promise<PasswordWorld> {
  const directory = mkdtempSync(join(tmpdir(), "keyturn-password-"));
  const local = await openLocal({
    path: join(directory, "data"),
    create: true,
    environment: { XDG_CONFIG_HOME: join(directory, "config") },
  });
  const adminName = `admin${++worlds}`;
  const secrets = new Map<string, ManagedSecret>();
  const lines: string[] = [];
  const ports: Ports = {
    ...local,
    log: (level, message, fields) => lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
    secrets: { get: (ref) => secrets.get(ref), refs: () => [...secrets.keys()] },
    rotators: { load: loadRotator },
  };
  const { host, port, database } = server;
  const address = { host, port, database, tls: { ca: server.caPath } };
  const world: PasswordWorld = {
    local,
    ports,
    secrets,
    adminName,
    lines,
    manage: (ref, { type, config, policy }) => {
      secrets.set(ref, {
        ref,
        type,
        config: { ...address, ...Object(config) },
        admin: adminRef,
        policy: { ...quick, ...policy },
        fleets: ["agents"],
        tenant: undefined,
      });
    },
    begin: async (ref) => {
      await request(ref, ports, { kind: "rotate", by: "tester" });
    },
    settle: (ref, worker = "tester") => settle(ports, ref, worker),
    current: async (ref) => {
      const stored = await local.store.read(ref, "current");
      return JSON.parse(stored?.value.reveal() ?? "null");
    },
    audit: async (ref) => {
      const entries: string[] = [];
      for await (const { action, detail } of local.audit.read(ref)) entries.push(`${action} ${detail}`);
      return entries;
    },
    [Symbol.asyncDispose]: async () => {
      await local.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  await makeAdmin(server, world, { ...address });
  return world;
}

/** As a database administrator makes it, and as it is brought under Keyturn: its value is held first, and then imported. */
async function makeAdmin(
  server: PostgresServer,
  { ports, local, adminName, manage }: PasswordWorld,
  { host, port, database }: { host: string; port: number; database: string },
): Promise<void> {
  const password = randomBytes(18).toString("hex");
  const superuser = await server.client();
  await superuser.query(`CREATE ROLE "${adminName}" LOGIN CREATEROLE PASSWORD '${password}';
    GRANT pg_signal_backend, pg_read_all_stats TO "${adminName}"`);
  await superuser.end();
  const value = new Secret(JSON.stringify({ username: adminName, password, host, port, database }));
  await local.store.savePending(adminRef, "by hand", value);
  await local.store.promote(adminRef, "by hand", undefined);
  manage(adminRef, { type: "postgres-password", config: { username: adminName } });
  await adopt(adminRef, ports, value, "tester");
}

async function settle(ports: Ports, ref: string, worker: string): Promise<RotationRecord> {
  const patience = Date.now() + 40_000;
  for (;;) {
    const { until, record, result } = await reconcile(ref, ports, { worker });
    if (result === "waiting" && until === undefined) return record;
    if (Date.now() > patience) throw new Error(`${ref} does not come to rest: ${record.state.phase}`);
    await ports.clock.sleep(Math.min(200, Math.max(1, (until ?? 0) - ports.clock.now())));
  }
}
