import { createHash, randomBytes } from "node:crypto";

interface SpanIds {
  readonly traceId: string;
  readonly spanId: string;
}

/** A rotation goes over processes and days: whoever carries out one of its steps finds the same trace by the rotation's id. */
export function idsOf(rotationId: string): SpanIds {
  const hash = createHash("sha256").update(`keyturn rotation ${rotationId}`).digest("hex");
  return { traceId: hash.slice(0, 32), spanId: hash.slice(32, 48) };
}

/** Gives spans their ids: by chance, except for a rotation's own span. */
export class SpanIdGenerator {
  #planned: SpanIds | undefined;

  generateTraceId(): string {
    return this.#planned?.traceId ?? randomBytes(16).toString("hex");
  }

  generateSpanId(): string {
    return this.#planned?.spanId ?? randomBytes(8).toString("hex");
  }

  /** The span that is started within gets these ids. */
  plan<Span>(ids: SpanIds, start: () => Span): Span {
    this.#planned = ids;
    try {
      return start();
    } finally {
      this.#planned = undefined;
    }
  }
}
