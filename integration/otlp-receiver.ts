import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import * as z from "zod/mini";

const Value = z.union([
  z.object({ stringValue: z.string() }),
  z.object({ doubleValue: z.number() }),
  z.object({ boolValue: z.boolean() }),
  z.object({ intValue: z.union([z.number(), z.string()]) }),
  z.looseObject({}),
]);
const Attributes = z.optional(z.array(z.object({ key: z.string(), value: Value })));
const Point = z.looseObject({
  attributes: Attributes,
  asDouble: z.optional(z.number()),
  asInt: z.optional(z.union([z.number(), z.string()])),
  count: z.optional(z.union([z.number(), z.string()])),
});
const Points = z.optional(z.looseObject({ dataPoints: z.array(Point) }));
const Span = z.looseObject({
  name: z.string(),
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.optional(z.string()),
  attributes: Attributes,
  status: z.optional(z.looseObject({ code: z.optional(z.number()) })),
});
const Metric = z.looseObject({
  name: z.string(),
  unit: z.string(),
  gauge: Points,
  sum: Points,
  histogram: Points,
});
const LogRecord = z.looseObject({
  severityText: z.string(),
  body: z.object({ stringValue: z.string() }),
  traceId: z.optional(z.string()),
  attributes: Attributes,
});
const Resource = z.optional(z.looseObject({ attributes: Attributes }));
const Body = z.union([
  z.object({
    resourceSpans: z.array(
      z.looseObject({ resource: Resource, scopeSpans: z.array(z.looseObject({ spans: z.array(Span) })) }),
    ),
  }),
  z.object({
    resourceMetrics: z.array(
      z.looseObject({
        resource: Resource,
        scopeMetrics: z.array(z.looseObject({ metrics: z.array(Metric) })),
      }),
    ),
  }),
  z.object({
    resourceLogs: z.array(
      z.looseObject({
        resource: Resource,
        scopeLogs: z.array(z.looseObject({ logRecords: z.array(LogRecord) })),
      }),
    ),
  }),
]);
type Body = z.infer<typeof Body>;
type Plain = Readonly<Record<string, unknown>>;

export interface ReceivedSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly isError: boolean;
  readonly attributes: Plain;
}

export interface ReceivedMetric {
  readonly unit: string;
  readonly kind: "gauge" | "counter" | "histogram";
  /** Of each set of attributes the last point: a gauge's or a counter's value, or the count of a histogram. */
  readonly points: readonly { readonly attributes: Plain; readonly value: number }[];
}

interface ReceivedLog {
  readonly level: string;
  readonly message: string;
  readonly traceId: string | undefined;
  readonly attributes: Plain;
}

/** A collector of OTLP/HTTP in JSON that keeps what it is sent. */
export interface OtlpReceiver extends AsyncDisposable {
  /** What makes a process send to it. */
  readonly environment: Readonly<Record<string, string>>;
  /** Every request as it came: path, headers and body. */
  readonly requests: readonly string[];
  spans(): readonly ReceivedSpan[];
  metrics(): ReadonlyMap<string, ReceivedMetric>;
  logs(): readonly ReceivedLog[];
  /** What is said of the processes that sent. */
  resources(): readonly Plain[];
}

/** With `answers` false it keeps every request waiting for ever. */
export async function startOtlpReceiver({ answers = true } = {}): Promise<OtlpReceiver> {
  const requests: string[] = [];
  const bodies: Body[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const raw = Buffer.concat(chunks);
      const text = (request.headers["content-encoding"] === "gzip" ? gunzipSync(raw) : raw).toString();
      requests.push(`${request.url}\n${request.rawHeaders.join("\n")}\n${text}`);
      if (!answers) return;
      bodies.push(z.parse(Body, JSON.parse(text)));
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  return {
    environment: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_METRIC_EXPORT_INTERVAL: "300",
      OTEL_BSP_SCHEDULE_DELAY: "100",
      OTEL_BLRP_SCHEDULE_DELAY: "100",
    },
    requests,
    spans: () =>
      bodies.flatMap((body) =>
        "resourceSpans" in body
          ? body.resourceSpans.flatMap(({ scopeSpans }) =>
              scopeSpans.flatMap(({ spans }) => spans.map(spanOf)),
            )
          : [],
      ),
    metrics: () => metricsOf(bodies),
    logs: () =>
      bodies.flatMap((body) =>
        "resourceLogs" in body
          ? body.resourceLogs.flatMap(({ scopeLogs }) =>
              scopeLogs.flatMap(({ logRecords }) => logRecords.map(logOf)),
            )
          : [],
      ),
    resources: () => bodies.flatMap(resourcesOf).map(({ resource }) => plain(resource?.attributes)),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      const folder = mkdtempSync(join(tmpdir(), "keyturn-otlp-"));
      writeFileSync(join(folder, "telemetry.otlp"), requests.map(withoutCredential).join("\n"));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The collector's own key is in the header in which it asks for it. */
function withoutCredential(request: string): string {
  return request.replace(/^(x-api-key)\n.*$/m, "$1");
}

function resourcesOf(body: Body): readonly { readonly resource?: z.infer<typeof Resource> }[] {
  if ("resourceSpans" in body) return body.resourceSpans;
  return "resourceMetrics" in body ? body.resourceMetrics : body.resourceLogs;
}

function spanOf(span: z.infer<typeof Span>): ReceivedSpan {
  const { name, traceId, spanId, parentSpanId, attributes, status } = span;
  const errorCode = 2;
  return {
    name,
    traceId,
    spanId,
    parentSpanId,
    isError: status?.code === errorCode,
    attributes: plain(attributes),
  };
}

function logOf({ severityText, body, traceId, attributes }: z.infer<typeof LogRecord>): ReceivedLog {
  return { level: severityText, message: body.stringValue, traceId, attributes: plain(attributes) };
}

function metricsOf(bodies: readonly Body[]): Map<string, ReceivedMetric> {
  const found = new Map<string, ReceivedMetric>();
  for (const { process, metric } of bodies.flatMap(metricsWithProcess)) {
    const { name, unit, gauge, sum, histogram } = metric;
    const kind = gauge ? "gauge" : sum ? "counter" : "histogram";
    const known = new Map(found.get(name)?.points.map((point) => [JSON.stringify(point.attributes), point]));
    for (const point of (gauge ?? sum ?? histogram)?.dataPoints ?? []) {
      const attributes = { ...plain(point.attributes), process };
      const value = Number(point.asDouble ?? point.asInt ?? point.count);
      known.set(JSON.stringify(attributes), { attributes, value });
    }
    found.set(name, { unit, kind, points: [...known.values()] });
  }
  return found;
}

/** Two processes count apart from each other. */
function metricsWithProcess(body: Body): readonly { process: unknown; metric: z.infer<typeof Metric> }[] {
  if (!("resourceMetrics" in body)) return [];
  return body.resourceMetrics.flatMap(({ resource, scopeMetrics }) => {
    const process = plain(resource?.attributes)["service.instance.id"];
    return scopeMetrics.flatMap(({ metrics }) => metrics).map((metric) => ({ process, metric }));
  });
}

function plain(attributes: z.infer<typeof Attributes>): Record<string, unknown> {
  return Object.fromEntries((attributes ?? []).map(({ key, value }) => [key, Object.values(value)[0]]));
}
