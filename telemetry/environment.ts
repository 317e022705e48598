/** What the process is told by its environment. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The signals that the standard variables of OpenTelemetry ask to be exported. */
export interface AskedSignals {
  readonly traces: boolean;
  readonly metrics: boolean;
  readonly logs: boolean;
}

const nothing: AskedSignals = { traces: false, metrics: false, logs: false };

/**
 * A signal is asked for by an exporter of its own other than `none`, or by an endpoint: its own, or the one for all signals.
 * OTEL_SDK_DISABLED=true asks for nothing, whatever else is said.
 */
export function askedSignals(environment: Environment): AskedSignals {
  if (environment.OTEL_SDK_DISABLED?.trim().toLowerCase() === "true") return nothing;
  const asks = (signal: "TRACES" | "METRICS" | "LOGS"): boolean => {
    const exporters = exportersOf(environment, signal);
    if (exporters.length > 0) return !exporters.includes("none");
    const endpoints = ["OTEL_EXPORTER_OTLP_ENDPOINT", `OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`];
    return endpoints.some((name) => (environment[name] ?? "").trim() !== "");
  };
  return { traces: asks("TRACES"), metrics: asks("METRICS"), logs: asks("LOGS") };
}

export function exportersOf(
  environment: Environment,
  signal: "TRACES" | "METRICS" | "LOGS",
): readonly string[] {
  return (environment[`OTEL_${signal}_EXPORTER`] ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

/** What the exporters send along to be let in: it belongs into no log. */
export function headerValues(environment: Environment): readonly string[] {
  return ["", "_TRACES", "_METRICS", "_LOGS"]
    .flatMap((signal) => (environment[`OTEL_EXPORTER_OTLP${signal}_HEADERS`] ?? "").split(","))
    .flatMap((header) => {
      const value = header.slice(header.indexOf("=") + 1).trim();
      return [value, decoded(value)];
    })
    .filter((value) => value !== "");
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/** Whether the service already has a name for the collector. */
export function isNamed(environment: Environment): boolean {
  const attributes = environment.OTEL_RESOURCE_ATTRIBUTES ?? "";
  return (environment.OTEL_SERVICE_NAME ?? "") !== "" || /(^|,)\s*service\.name\s*=/.test(attributes);
}
