import { setTimeout as sleep } from "node:timers/promises";
import { context, DiagLogLevel, diag, logs, metrics, propagation, trace } from "@opentelemetry/api";
import type { Log, Ports } from "../core/ports.ts";
import type { ReconcileOptions } from "../core/reconcile.ts";
import { Redactor } from "../core/redact.ts";
import { Secret } from "../core/secret.ts";
import { type AskedSignals, askedSignals, exportersOf, headerValues, isNamed } from "./environment.ts";
import { exportComplaints } from "./export-complaints.ts";
import { Instruments } from "./instruments.ts";
import { SpanIdGenerator } from "./rotation-ids.ts";
import { announceSeries, observeRotations } from "./rotations.ts";
import { StepTelemetry } from "./steps.ts";

/** How long the last measurements may take to get out when a process ends. */
const farewellMs = 2_000;

export interface TelemetryOptions {
  /** Where it is said that telemetry cannot be sent. */
  readonly log: Log;
  readonly version: string;
}

/** What a process measures and sends. Nothing of it ever fails or delays what is measured. */
export interface Telemetry extends AsyncDisposable {
  /** Undefined unless metrics are asked for. */
  readonly instruments: Instruments | undefined;
  /** What a reconcile is given, so that its steps are measured and traced; empty when nothing is asked for. */
  hooks(secrets: Ports["secrets"]): Pick<ReconcileOptions, "observe" | "trace">;
  /** Counts a secret that could not be worked on at all. */
  failed(ref: string, code: string): void;
}

const silent: Telemetry = {
  instruments: undefined,
  hooks: () => ({}),
  failed: () => undefined,
  [Symbol.asyncDispose]: async () => undefined,
};

/** Starts what the standard variables of OpenTelemetry ask for; where they ask for nothing, nothing is loaded. */
export async function startTelemetry({ log, version }: TelemetryOptions): Promise<Telemetry> {
  // The package reads the same variables by itself.
  const environment = process.env;
  const asked = usable(askedSignals(environment), environment, log);
  if (!asked.traces && !asked.metrics && !asked.logs) return silent;
  const NodeSDK = await loadSdk(log);
  if (NodeSDK === undefined) return silent;

  const redactor = new Redactor();
  for (const value of headerValues(environment)) redactor.add(new Secret(value));
  const complain = exportComplaints(log, (text) => redactor.redact(text));
  diag.setLogger(complain, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  // It would make the package write to the console, where results go.
  delete environment.OTEL_LOG_LEVEL;
  // A process's arguments and its owner are nobody's business.
  environment.OTEL_NODE_RESOURCE_DETECTORS ??= "env,host,os,serviceinstance";
  const ids = new SpanIdGenerator();
  try {
    const sdk = new NodeSDK({
      idGenerator: ids,
      ...(isNamed(environment) ? {} : { serviceName: "keyturn" }),
      ...(asked.traces ? {} : { spanProcessors: [] }),
      ...(asked.metrics ? {} : { metricReaders: [] }),
      ...(asked.logs ? {} : { logRecordProcessors: [] }),
    });
    sdk.start();
    return running(asked, version, ids, () => sdk.shutdown());
  } catch (thrown) {
    const reason = redactor.redact(thrown instanceof Error ? thrown.message : String(thrown));
    log("warn", "telemetry cannot be started; everything else goes on", { reason });
    return silent;
  }
}

function running(
  asked: AskedSignals,
  version: string,
  ids: SpanIdGenerator,
  shutdown: () => Promise<void>,
): Telemetry {
  const instruments = new Instruments(metrics.getMeter("keyturn", version));
  const steps = new StepTelemetry(trace.getTracer("keyturn", version), ids, instruments);
  return {
    instruments: asked.metrics ? instruments : undefined,
    hooks: (secrets) => {
      announceSeries(instruments, secrets);
      const typeOf = (ref: string): string => secrets.get(ref)?.type ?? "unknown";
      return { trace: steps.trace, observe: observeRotations(instruments, steps, typeOf, Date.now) };
    },
    failed: (ref, code) =>
      instruments.add("failures", 1, {
        "keyturn.secret": ref,
        "keyturn.step": "reconcile",
        "error.type": code,
      }),
    [Symbol.asyncDispose]: async () => {
      const sent = shutdown().catch(() => undefined);
      await Promise.race([sent, sleep(farewellMs, undefined, { ref: false })]);
      // Whoever asks for these after the end finds nothing, and waits for nobody.
      for (const api of [trace, metrics, logs, context, propagation]) api.disable();
      diag.disable();
    },
  };
}

/** A port that is scraped would have to be one for each process of the service. */
function usable(asked: AskedSignals, environment: NodeJS.ProcessEnv, log: Log): AskedSignals {
  if (!asked.metrics || !exportersOf(environment, "METRICS").includes("prometheus")) return asked;
  log(
    "warn",
    "OTEL_METRICS_EXPORTER=prometheus cannot be used: send by otlp, to a collector or to Prometheus itself",
    {},
  );
  return { ...asked, metrics: false };
}

async function loadSdk(log: Log): Promise<typeof import("@opentelemetry/sdk-node").NodeSDK | undefined> {
  try {
    const { NodeSDK } = await import("@opentelemetry/sdk-node");
    return NodeSDK;
  } catch (thrown) {
    const isMissing = Object(thrown).code === "ERR_MODULE_NOT_FOUND";
    const remedy = isMissing
      ? "it is not installed: run `npm install @opentelemetry/sdk-node@0.301.0`, or unset the OTEL_ variables"
      : `it cannot be loaded: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
    log("warn", `telemetry is asked for, and needs the package @opentelemetry/sdk-node; ${remedy}`, {});
    return undefined;
  }
}
