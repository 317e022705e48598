import { createFingerprinter } from "../core/fingerprint.ts";
import { request, storeValue } from "../core/operate.ts";
import type { ManagedSecret, Policy, Ports } from "../core/ports.ts";
import { type ReconcileOptions, reconcile, type StepUnderWay } from "../core/reconcile.ts";
import type { RotationRecord } from "../core/record.ts";
import type { Request } from "../core/request.ts";
import type { Rotator } from "../core/rotator.ts";
import type { Secret } from "../core/secret.ts";
import { systemClock } from "../local/clock.ts";
import { memoryAuditLog, memoryEventBus, memoryJournal, memorySecretStore } from "../local/memory.ts";
import { defaultTestPolicy } from "../local/memory-ports.ts";
import { systemRandom } from "../local/random.ts";
import type { Target } from "../rotators/steps.contract.ts";
import { startProxy, type TcpProxy } from "./tcp-proxy.ts";

export type Trace = NonNullable<ReconcileOptions["trace"]>;

/** A secret whose target is reached through a wire that can fail. Stores and journal are in memory: they are not what is tried here. */
export interface NetworkWorld extends AsyncDisposable {
  readonly proxy: TcpProxy;
  readonly ports: Ports;
  ask(kind: Extract<Request["kind"], "rotate" | "cancel" | "rollback" | "retire">): Promise<void>;
  /** Works until there is nothing left to do. */
  settle(trace?: Trace): Promise<RotationRecord>;
  /** Carries out the next step in a run of its own, which has nothing open from before, and says which it was; undefined: there is none. */
  step(trace: Trace): Promise<StepUnderWay["step"] | undefined>;
  record(): Promise<RotationRecord>;
  current(): Promise<Secret | undefined>;
  pending(): Promise<Secret | undefined>;
  /** Whether there is a stored value, current or pending, that logs in by a wire that does not fail. */
  someLogsIn(): Promise<boolean>;
}

export interface NetworkOptions {
  readonly installation?: string;
  readonly policy?: Partial<Policy>;
  readonly limits?: Limits;
}

export interface Limits {
  readonly connectTimeoutMs: number;
  readonly lockTimeoutMs: number;
  readonly statementTimeoutMs: number;
}

export const ref = "app/db";
const short: Limits = { connectTimeoutMs: 600, lockTimeoutMs: 300, statementTimeoutMs: 600 };
export const stepDeadlineMs = 2_500;

export async function openNetwork(
  rotator: Rotator,
  target: Target,
  { installation = "network", policy = {}, limits = short }: NetworkOptions = {},
): Promise<NetworkWorld> {
  const proxy = await startProxy(target.address);
  const managed: ManagedSecret = {
    ref,
    type: rotator.type,
    config: { ...target.withPort(proxy.port), ...limits },
    admin: "app/admin",
    policy: {
      ...defaultTestPolicy,
      cacheTtlMs: 50,
      graceAtLeastMs: 50,
      graceAtMostMs: 100,
      stepDeadlineMs,
      attemptsMax: 20,
      retryBaseMs: 20,
      retryMaxMs: 100,
      ...policy,
    },
    fleets: ["agents"],
    tenant: undefined,
  };
  const ports: Ports = {
    installation,
    store: memorySecretStore(systemClock),
    journal: memoryJournal(),
    bus: memoryEventBus(),
    audit: memoryAuditLog(),
    clock: systemClock,
    random: systemRandom,
    log: () => undefined,
    fingerprinter: createFingerprinter([{ id: "k1", bytes: new Uint8Array(32).fill(7) }]),
    secrets: { get: (name) => (name === ref ? managed : undefined), refs: () => [ref] },
    rotators: { load: async () => rotator },
  };
  await storeValue("app/admin", ports, target.admin, {});
  const stored = async (stage: "current" | "pending") => (await ports.store.read(ref, stage))?.value;
  return {
    proxy,
    ports,
    ask: async (kind) => {
      // No agent reports here, so a grace that is ended by hand is ended against all advice.
      await request(ref, ports, { kind, by: "tester", insist: kind === "retire" });
    },
    settle: (trace) => settle(ports, trace),
    step: (trace) => step(ports, trace),
    record: async () => {
      const loaded = await ports.journal.load(ref);
      if (loaded === undefined) throw new Error(`${ref} has no record yet`);
      return loaded.record;
    },
    current: () => stored("current"),
    pending: () => stored("pending"),
    // Between two looks a cutover may move on: once more, then.
    someLogsIn: async () => {
      for (const stage of ["current", "pending", "current"] as const) {
        const value = await stored(stage);
        const session = value && (await target.open(value).catch(() => undefined));
        await session?.close();
        if (session !== undefined) return true;
      }
      return false;
    },
    [Symbol.asyncDispose]: () => proxy.close(),
  };
}

/** Works until there is nothing left to do. */
export async function settle(ports: Ports, trace?: Trace): Promise<RotationRecord> {
  const options = trace === undefined ? { worker: "tester" } : { worker: "tester", trace };
  return work(ports, options, () => false);
}

async function step(ports: Ports, trace: Trace): Promise<StepUnderWay["step"] | undefined> {
  let taken: StepUnderWay["step"] | undefined;
  const options: ReconcileOptions = {
    worker: "tester",
    // Looked at before each step: the first one is the last.
    get until() {
      return taken === undefined ? Number.POSITIVE_INFINITY : 0;
    },
    trace: (underWay, carryOut) => {
      taken = underWay.step;
      return trace(underWay, carryOut);
    },
  };
  await work(ports, options, () => taken !== undefined);
  return taken;
}

/** Reconciles until there is nothing left to do, or it is enough. */
async function work(ports: Ports, options: ReconcileOptions, enough: () => boolean): Promise<RotationRecord> {
  const patience = Date.now() + 60_000;
  for (;;) {
    const { until, record, result } = await reconcile(ref, ports, options);
    if (enough() || (result === "waiting" && until === undefined)) return record;
    if (Date.now() > patience) throw new Error(`it does not come to rest: ${record.state.phase}`);
    await ports.clock.sleep(Math.min(200, Math.max(1, (until ?? 0) - ports.clock.now())));
  }
}
