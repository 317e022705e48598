import { request, versionMark } from "../core/operate.ts";
import type { ManagedSecret, Ports } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import type { Secret } from "../core/secret.ts";
import { movedClock } from "../faults/managed.ts";
import { memoryPorts } from "../local/memory-ports.ts";
import { rotator as unwrapped } from "../rotators/aws-iam-access-key.ts";
import { createIamTarget, idOf, keysOf, throughEnvironment } from "./aws/iam-target.ts";
import type { StrictIam } from "./aws/strict-iam.ts";

/** The whole core over the access keys of one user, as a worker runs it; waits are skipped. */
export function iamWorld(model: StrictIam, keepInactiveMs = 0) {
  const rotator = throughEnvironment(unwrapped, () => model.port);
  const target = createIamTarget(model);
  let movedMs = 0;
  const clock = movedClock(() => movedMs);
  model.behaviour.now = clock.now;
  const memory = memoryPorts(rotator, { policy: { stepDeadlineMs: 20_000, attemptsMax: 5 } });
  const managed: ManagedSecret = {
    ...memory.managed,
    config: { ...target.config, keepInactiveMs },
    admin: "app/admin",
  };
  const { ref } = managed;
  const ports: Ports = {
    ...memory.ports,
    clock,
    secrets: { get: (name) => (name === ref ? managed : undefined), refs: () => [ref] },
    store: {
      ...memory.ports.store,
      read: async (name, which) =>
        name === "app/admin"
          ? { ref: name, version: "1", value: target.admin, createdAt: 0 }
          : memory.ports.store.read(name, which),
    },
  };
  const value = async (which: "current" | "pending" | { readonly version: string }): Promise<Secret> => {
    const stored = await ports.store.read(ref, which);
    if (stored === undefined) throw new Error("there is no such version");
    return stored.value;
  };
  return {
    target,
    ports,
    lines: memory.lines,
    keys: () => keysOf(target),
    current: async () => idOf(await value("current")),
    ask: (kind: "rotate" | "rollback" | "cancel") =>
      request(ref, ports, { kind, by: "tester", insist: false }),
    leak: async (which: string, cutFirst = false) => {
      const version = await versionMark(ref, ports, which);
      return request(ref, ports, { kind: "emergency", by: "tester", version, cutFirst });
    },
    /** Works on, passing the time that it asks for, until the phase is reached. */
    until: async (phase: string) => {
      for (let turn = 0; turn < 200; turn += 1) {
        const { until, record } = await reconcile(ref, ports, { worker: "worker" });
        if (record.state.phase === phase) return record;
        if (record.state.phase === "halted") throw new Error(`halted: ${record.state.reason}`);
        if (until === undefined) return record;
        movedMs += Math.max(1, until - clock.now());
      }
      throw new Error(`never reached ${phase}`);
    },
  };
}
