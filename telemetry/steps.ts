import { context, type Span, SpanStatusCode, type Tracer, trace } from "@opentelemetry/api";
import type { Outcome } from "../core/outcome.ts";
import type { ReconcileOptions, StepUnderWay } from "../core/reconcile.ts";
import type { Rotation } from "../core/record.ts";
import { rotationOf } from "../core/transition.ts";
import type { Instruments } from "./instruments.ts";
import { idsOf, type SpanIdGenerator } from "./rotation-ids.ts";

/** Measures every step, and writes a span of it into the trace of its rotation. The step itself never suffers by it. */
export class StepTelemetry {
  readonly #tracer: Tracer;
  readonly #ids: SpanIdGenerator;
  readonly #instruments: Instruments;

  constructor(tracer: Tracer, ids: SpanIdGenerator, instruments: Instruments) {
    this.#tracer = tracer;
    this.#ids = ids;
    this.#instruments = instruments;
  }

  readonly trace: NonNullable<ReconcileOptions["trace"]> = async (underWay, carryOut) => {
    const span = this.#start(underWay);
    const began = performance.now();
    const outcome = await context
      .with(trace.setSpan(context.active(), span), carryOut)
      .catch((thrown: unknown) => {
        span.setStatus({ code: SpanStatusCode.ERROR }).end();
        throw thrown;
      });
    this.#ended(underWay, span, outcome, performance.now() - began);
    return outcome;
  };

  /** The span of the whole rotation. It is written when it is ended; begun again anywhere, it is the same one. */
  startRotation(rotation: Rotation, ref: string, type: string): Span {
    const attributes = {
      "keyturn.secret": ref,
      "keyturn.type": type,
      "keyturn.rotation": rotation.id,
      "keyturn.kind": rotation.urgent ? "emergency" : rotation.kind,
    };
    const options = { root: true, startTime: rotation.startedAt, attributes };
    return this.#ids.plan(idsOf(rotation.id), () => this.#tracer.startSpan("keyturn.rotation", options));
  }

  #start({ step, managed, record }: StepUnderWay): Span {
    const rotation = rotationOf(record.state);
    const attributes = {
      "keyturn.secret": record.ref,
      "keyturn.type": managed.type,
      "keyturn.step": step,
      "keyturn.phase": record.state.phase,
      "keyturn.epoch": record.epoch,
      "keyturn.try": "attempts" in record.state ? record.state.attempts + 1 : 1,
    };
    if (rotation === undefined) {
      return this.#tracer.startSpan(`keyturn.${step}`, { root: true, attributes });
    }
    const parent = trace.setSpan(context.active(), this.startRotation(rotation, record.ref, managed.type));
    return this.#tracer.startSpan(
      `keyturn.${step}`,
      { attributes: { ...attributes, "keyturn.rotation": rotation.id } },
      parent,
    );
  }

  #ended({ step, managed, record }: StepUnderWay, span: Span, outcome: Outcome, ms: number): void {
    const code = outcome.result === "failed" ? outcome.code : undefined;
    span.setAttribute("keyturn.outcome", outcome.result);
    if (code !== undefined) {
      span.setAttribute("error.type", code).setStatus({ code: SpanStatusCode.ERROR });
      this.#instruments.add("failures", 1, {
        "keyturn.secret": record.ref,
        "keyturn.type": managed.type,
        "keyturn.step": step,
        "error.type": code,
      });
    }
    span.end();
    this.#instruments.record("stepDuration", ms, {
      "keyturn.type": managed.type,
      "keyturn.step": step,
      "keyturn.outcome": outcome.result,
      "error.type": code,
    });
  }
}
