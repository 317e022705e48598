import { AsyncLocalStorage } from "node:async_hooks";
import pg from "pg";
import { afterAll, beforeAll } from "vitest";
import { adopt } from "../core/adopt.ts";
import { type CrashWorld, crashRef, describeCrashes, type Login, type Trap } from "../core/crash.contract.ts";
import { createFingerprinter } from "../core/fingerprint.ts";
import { storeValue } from "../core/operate.ts";
import type { Clock, ManagedSecret, Ports } from "../core/ports.ts";
import type { Rotator } from "../core/rotator.ts";
import type { Secret } from "../core/secret.ts";
import { systemClock } from "../local/clock.ts";
import { memoryAuditLog, memoryEventBus, memoryJournal, memorySecretStore } from "../local/memory.ts";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { systemRandom } from "../local/random.ts";
import { rotator as alternating } from "../rotators/postgres-alternating.ts";
import { rotator as password } from "../rotators/postgres-password.ts";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";
import { createPasswordTarget, createTarget } from "./postgres-target.ts";

/**
 * The rotators on a real PostgreSQL, their worker stopped at every call: of the stores, of the rotator, and at every connection and statement
 * that it makes. Stores and journal are in memory here; `local/` has its own proofs. `FAULTS=full` tries every stop in every case,
 * otherwise each case takes its share of them.
 */
const full = process.env.FAULTS === "full";
const caught = new AsyncLocalStorage<{ readonly trap: Trap; readonly clients: Set<pg.Client> }>();
const { connect, query } = pg.Client.prototype;
let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres({ maxConnections: 400 });
  for (const [name, method] of Object.entries({ connect, query })) {
    Reflect.set(pg.Client.prototype, name, function (this: pg.Client, ...args: unknown[]) {
      const doomed = caught.getStore();
      const call: unknown = () => Reflect.apply(method, this, args);
      if (typeof call !== "function") return undefined;
      if (doomed === undefined) return call();
      doomed.clients.add(this);
      return doomed.trap.around(`pg.${name}`, async () => call());
    });
  }
});

afterAll(async () => {
  Object.assign(pg.Client.prototype, { connect, query });
  await server.stop();
});

/** Real time, which can be moved on: sleeping is real, so that the server keeps up. */
function movedClock(): Clock & { advance(ms: number): void } {
  let moved = 0;
  return {
    ...systemClock,
    now: () => systemClock.now() + moved,
    advance: (ms) => {
      moved += ms;
    },
  };
}

/** A secret of some type, as it is managed, and what is stored before it is: the administering login, by its reference. */
interface Subject {
  readonly rotator: Rotator;
  /** One of so many stops is tried in each case, unless all of them are. */
  readonly share: number;
  arrange(): Promise<{ readonly config: object; readonly adminRef: string; readonly admin: Secret }>;
}

const subjects: Readonly<Record<string, Subject>> = {
  "two logins that take turns": {
    rotator: alternating,
    share: 12,
    arrange: async () => ({ ...(await createTarget(server)), adminRef: "app/admin" }),
  },
  "one role with one password": {
    rotator: password,
    share: 20,
    arrange: async () => ({ ...(await createPasswordTarget(server)), adminRef: "app/admin" }),
  },
  "an administering login that changes itself": {
    rotator: password,
    share: 20,
    arrange: async () => {
      const { admin, administrator, config } = await createPasswordTarget(server);
      return { admin, adminRef: crashRef, config: { ...config, username: administrator.username } };
    },
  },
};

async function openWorld({ rotator, arrange }: Subject): Promise<CrashWorld> {
  const { config, admin, adminRef } = await arrange();
  const clock = movedClock();
  const managed: ManagedSecret = {
    ref: crashRef,
    type: rotator.type,
    config,
    admin: adminRef,
    policy: { ...defaultTestPolicy, graceAtMostMs: 3_000, stepDeadlineMs: 60_000 },
    fleets: ["agents"],
    tenant: undefined,
  };
  const ports: Ports = {
    installation: "faults",
    store: memorySecretStore(clock),
    journal: memoryJournal(),
    bus: memoryEventBus(),
    audit: memoryAuditLog(),
    clock,
    random: systemRandom,
    log: () => undefined,
    fingerprinter: createFingerprinter([{ id: "k1", bytes: new Uint8Array(32).fill(7) }]),
    secrets: { get: (ref) => (ref === crashRef ? managed : undefined), refs: () => [crashRef] },
    rotators: { load: async () => rotator },
  };
  await storeValue(adminRef, ports, admin, {});
  if (adminRef === crashRef) await adopt(crashRef, ports, admin, "tester");
  const clients = new Set<pg.Client>();
  return {
    ports,
    rotator,
    advance: (ms) => clock.advance(ms),
    accepts: (login) => logsIn(login),
    doomed: (trap, work) => caught.run({ trap, clients }, work),
    // A process that is gone has closed its connections; one that is frozen has not.
    buried: async () => {
      for (const client of clients) client.connection.stream.destroy();
    },
  };
}

async function logsIn(login: Login): Promise<boolean> {
  try {
    const client = await server.client(login);
    await client.end();
    return true;
  } catch (error) {
    const code: unknown = Object(error).code;
    if (code === "28P01" || code === "28000") return false;
    throw error;
  }
}

/** Each case begins at another call, so that together they have them all. */
const cases = new Map<string, number>();

for (const [name, subject] of Object.entries(subjects)) {
  describeCrashes(`${name} on a real PostgreSQL`, {
    overlap: subject.rotator.overlap,
    open: () => openWorld(subject),
    picks: ({ call, mode, what }) => {
      const key = `${name} ${mode} ${what}`;
      const offset = cases.get(key) ?? cases.size;
      cases.set(key, offset);
      return full || call % subject.share === offset % subject.share;
    },
    stopsMin: full ? 45 : Math.floor(50 / subject.share),
    timeoutMs: 300_000,
  });
}
