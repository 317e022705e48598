import type { AttributeName, MetricRow } from "../telemetry/metrics.ts";

/**
 * What Prometheus calls a metric of OpenTelemetry that it was sent: dots become underscores, the unit and a counter's `total` are put
 * behind, and what is counted in braces is left out. A histogram is three series.
 */
export function prometheusNames({ name, unit, kind }: MetricRow): readonly string[] {
  const base = `${name.replaceAll(".", "_")}${unit === "s" ? "_seconds" : ""}`;
  switch (kind) {
    case "gauge":
      return [base];
    case "counter":
      return [`${base}_total`];
    case "histogram":
      return [`${base}_bucket`, `${base}_sum`, `${base}_count`];
  }
}

export function prometheusLabel(attribute: AttributeName): string {
  return attribute.replaceAll(".", "_");
}
