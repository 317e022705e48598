import { expect, it } from "vitest";
import { askedSignals, headerValues, isNamed } from "./environment.ts";

const none = { traces: false, metrics: false, logs: false };
const all = { traces: true, metrics: true, logs: true };

it.each([
  [{}, none],
  [{ OTEL_SERVICE_NAME: "keyturn", OTEL_RESOURCE_ATTRIBUTES: "a=b" }, none],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "" }, none],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" }, all],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318", OTEL_SDK_DISABLED: " TRUE " }, none],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318", OTEL_SDK_DISABLED: "false" }, all],
  [
    { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318", OTEL_LOGS_EXPORTER: "none" },
    { ...all, logs: false },
  ],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://collector:4318/v1/traces" }, { ...none, traces: true }],
  [{ OTEL_METRICS_EXPORTER: "otlp" }, { ...none, metrics: true }],
  [{ OTEL_TRACES_EXPORTER: "otlp, console" }, { ...none, traces: true }],
  [{ OTEL_TRACES_EXPORTER: " , " }, none],
])("asks for what %j says", (environment, asked) => {
  expect(askedSignals(environment)).toEqual(asked);
});

it("knows what exporters send along to be let in, in both spellings", () => {
  const values = headerValues({
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20abc==,x-api-key=k1",
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: "x=%E0%A4%A",
  });
  expect(values).toEqual(expect.arrayContaining(["Bearer%20abc==", "Bearer abc==", "k1", "%E0%A4%A"]));
  expect(headerValues({})).toEqual([]);
});

it("leaves a name alone that the service was given", () => {
  expect(isNamed({})).toBe(false);
  expect(isNamed({ OTEL_RESOURCE_ATTRIBUTES: "team=a,service.names=b" })).toBe(false);
  expect(isNamed({ OTEL_SERVICE_NAME: "rotation" })).toBe(true);
  expect(isNamed({ OTEL_RESOURCE_ATTRIBUTES: "team=a, service.name=rotation" })).toBe(true);
});
