import { createFingerprinter } from "../core/fingerprint.ts";
import type { ManagedSecret, Policy, Ports } from "../core/ports.ts";
import type { Rotator } from "../core/rotator.ts";
import {
  memoryAuditLog,
  memoryEventBus,
  memoryJournal,
  memorySecretStore,
  seededRandom,
  steppedClock,
} from "./memory.ts";

export const defaultTestPolicy: Policy = {
  schedule: undefined,
  cacheTtlMs: 1_000,
  graceAtLeastMs: 1_000,
  graceAtMostMs: 60_000,
  onLaggards: "hold",
  confirmEveryMs: 10_000,
  stepDeadlineMs: 5_000,
  attemptsMax: 3,
  retryBaseMs: 100,
  retryMaxMs: 5_000,
};

/** A whole Keyturn in memory, with one secret named "app/db". */
export function memoryPorts(rotator: Rotator, options: { policy?: Partial<Policy>; seed?: number } = {}) {
  const clock = steppedClock(Date.UTC(2026, 0, 1));
  const bus = memoryEventBus();
  const lines: string[] = [];
  const managed: ManagedSecret = {
    ref: "app/db",
    type: rotator.type,
    config: { owner: "app" },
    admin: undefined,
    policy: { ...defaultTestPolicy, ...options.policy },
    fleets: ["agents"],
    tenant: undefined,
  };
  const ports: Ports = {
    installation: "test",
    store: memorySecretStore(clock),
    journal: memoryJournal(),
    bus,
    audit: memoryAuditLog(),
    clock,
    random: seededRandom(options.seed ?? 1),
    log: (level, message, fields) => lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
    fingerprinter: createFingerprinter([{ id: "k1", bytes: new Uint8Array(32).fill(7) }]),
    secrets: { get: (ref) => (ref === managed.ref ? managed : undefined), refs: () => [managed.ref] },
    rotators: { load: async () => rotator },
  };
  return { ports, clock, bus, lines, managed };
}
