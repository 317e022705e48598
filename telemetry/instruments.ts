import type { Attributes, BatchObservableCallback, Meter, ObservableGauge } from "@opentelemetry/api";
import { type AttributeName, type MetricKey, type MetricRow, metricTable } from "./metrics.ts";

type KeyOf<Kind extends MetricRow["kind"]> = {
  [Key in MetricKey]: (typeof metricTable)[Key]["kind"] extends Kind ? Key : never;
}[MetricKey];

export type GaugeKey = KeyOf<"gauge">;

/** Only what the table says that the metric has; undefined ones are left out. */
type AttributesOf<Key extends MetricKey> = {
  readonly [Name in (typeof metricTable)[Key]["attributes"][number]]?: string | undefined;
};

/** The instruments of the table, made once for a meter. */
export class Instruments {
  readonly #meter: Meter;
  readonly #recorders = new Map<MetricKey, (value: number, attributes: Attributes) => void>();
  readonly #gauges = new Map<GaugeKey, ObservableGauge>();

  constructor(meter: Meter) {
    this.#meter = meter;
  }

  /** Something has happened so many more times; 0 makes the series known before anything has happened. */
  add<Key extends KeyOf<"counter">>(key: Key, value: number, attributes: AttributesOf<Key>): void {
    this.#recorder(key)(value, present(attributes));
  }

  /** How long something took. */
  record<Key extends KeyOf<"histogram">>(key: Key, ms: number, attributes: AttributesOf<Key>): void {
    this.#recorder(key)(Math.max(0, ms) / 1_000, present(attributes));
  }

  /** `look` is called whenever the gauges are exported, and says what they are. */
  observe(look: (see: SeeGauge) => Promise<void>): void {
    const keys = Object.keys(metricTable).filter((key) => isGauge(key));
    for (const key of keys) this.#gauges.set(key, this.#gauge(metricTable[key]));
    const callback: BatchObservableCallback = (result) =>
      look((key, value, attributes) => {
        const gauge = this.#gauges.get(key);
        if (gauge !== undefined) result.observe(gauge, value, present(attributes));
      });
    this.#meter.addBatchObservableCallback(callback, [...this.#gauges.values()]);
  }

  #gauge({ name, unit, description }: MetricRow): ObservableGauge {
    return this.#meter.createObservableGauge(name, { unit, description });
  }

  #recorder(key: Exclude<MetricKey, GaugeKey>): (value: number, attributes: Attributes) => void {
    const known = this.#recorders.get(key);
    if (known !== undefined) return known;
    const { name, kind, unit, description, ...row } = metricTable[key];
    const made = ((): ((value: number, attributes: Attributes) => void) => {
      if (kind === "counter") {
        const counter = this.#meter.createCounter(name, { unit, description });
        return (value, attributes) => counter.add(value, attributes);
      }
      const advice = "buckets" in row ? { explicitBucketBoundaries: [...row.buckets] } : {};
      const histogram = this.#meter.createHistogram(name, { unit, description, advice });
      return (value, attributes) => histogram.record(value, attributes);
    })();
    this.#recorders.set(key, made);
    return made;
  }
}

/** Says what a gauge is now, for these attributes. */
export type SeeGauge = <Key extends GaugeKey>(key: Key, value: number, attributes: AttributesOf<Key>) => void;

function isGauge(key: string): key is GaugeKey {
  return Object.entries(metricTable).some(([name, row]) => name === key && row.kind === "gauge");
}

function present(attributes: Readonly<Partial<Record<AttributeName, string | undefined>>>): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}
