import { type Context, logs, ROOT_CONTEXT, SeverityNumber, TraceFlags, trace } from "@opentelemetry/api";

const severities: Readonly<Record<string, SeverityNumber>> = {
  debug: SeverityNumber.DEBUG,
  info: SeverityNumber.INFO,
  warn: SeverityNumber.WARN,
  error: SeverityNumber.ERROR,
};

/** Sends a log line along as it was written, without what was taken out of it; nowhere unless telemetry of logs has been started. */
export function exportLine(line: string): void {
  const entry: Readonly<Record<string, unknown>> = JSON.parse(line);
  const { time, level, message, trace_id, span_id, ...fields } = entry;
  const attributes = Object.entries(fields).map(([name, value]) => [
    name,
    typeof value === "object" ? JSON.stringify(value) : value,
  ]);
  logs.getLogger("keyturn").emit({
    timestamp: new Date(String(time)),
    severityNumber: severities[String(level)] ?? SeverityNumber.UNSPECIFIED,
    severityText: String(level),
    body: String(message),
    attributes: Object.fromEntries(attributes),
    context: contextOf(trace_id, span_id),
  });
}

function contextOf(traceId: unknown, spanId: unknown): Context {
  if (typeof traceId !== "string" || typeof spanId !== "string") return ROOT_CONTEXT;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: TraceFlags.SAMPLED });
}
