import { trace } from "@opentelemetry/api";

/** By which trace a line belongs to, where there is one. */
export function traceFields(): { readonly trace_id?: string; readonly span_id?: string } {
  const spanContext = trace.getActiveSpan()?.spanContext();
  return spanContext === undefined ? {} : { trace_id: spanContext.traceId, span_id: spanContext.spanId };
}
