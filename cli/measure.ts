import type { AgentReport } from "../core/fleet.ts";
import type { Log } from "../core/ports.ts";
import { matches } from "../manifest/policy.ts";
import { levelNamed, lineLog } from "../telemetry/log.ts";
import { NotificationLag } from "../telemetry/notification-lag.ts";
import { startTelemetry } from "../telemetry/start.ts";
import { observeState } from "../telemetry/state.ts";
import type { OpenManifest, OpenStore } from "./open.ts";
import { version } from "./version.ts";

/** What the service tells of itself besides its log; nothing unless the environment asks for it. */
export interface Measured extends AsyncDisposable {
  /** To be told of every report that agents make. */
  reported(reports: readonly AgentReport[]): void;
  /** To be told how each try to notify somebody went. */
  notified(channel: string, outcome: "delivered" | "failed" | "dropped"): void;
}

/** The service's log: lines for a person, or JSON. `--verbose` goes before LOG_LEVEL. */
export function serviceLog(json: boolean, verbose: boolean): Log {
  const least = verbose ? "debug" : (levelNamed(process.env.LOG_LEVEL) ?? "info");
  return lineLog({ json, least, write: (text) => void process.stderr.write(text) });
}

/** Measures the state of the store's secrets, and what agents and receivers of notifications say. */
export async function measure(
  manifest: () => OpenManifest["manifest"],
  { ports }: Pick<OpenStore, "ports">,
  log: Log,
): Promise<Measured> {
  const telemetry = await startTelemetry({ log, version });
  const { instruments } = telemetry;
  const lag = instruments && new NotificationLag(instruments, ports);
  if (instruments !== undefined) {
    const maxAgeMs = (ref: string) =>
      manifest().policies.find((policy) => policy.maxAgeMs !== undefined && matches(policy.match, ref))
        ?.maxAgeMs;
    observeState(instruments, { ports, maxAgeMs });
  }
  return {
    reported: (reports) => void lag?.seen(reports),
    notified: (channel, outcome) =>
      instruments?.add("notifications", 1, { "keyturn.channel": channel, "keyturn.outcome": outcome }),
    [Symbol.asyncDispose]: () => telemetry[Symbol.asyncDispose](),
  };
}
