import { expect, it } from "vitest";
import { idsOf, SpanIdGenerator } from "./rotation-ids.ts";

it("finds the same ids for a rotation everywhere, and others for another one", () => {
  const ids = idsOf("0195c1a2");
  expect(ids).toEqual(idsOf("0195c1a2"));
  expect(ids.traceId).toMatch(/^[0-9a-f]{32}$/);
  expect(ids.spanId).toMatch(/^[0-9a-f]{16}$/);
  expect(idsOf("0195c1a3").traceId).not.toBe(ids.traceId);
});

it("gives the planned ids to one span, also when its beginning fails, and chance ids to all others", () => {
  const generator = new SpanIdGenerator();
  const ids = idsOf("one");
  const start = () => ({ traceId: generator.generateTraceId(), spanId: generator.generateSpanId() });
  expect(generator.plan(ids, start)).toEqual(ids);
  expect(() =>
    generator.plan(ids, () => {
      throw new Error("no");
    }),
  ).toThrow("no");
  const others = [start(), start()];
  expect(new Set([ids, ...others].map(({ traceId }) => traceId)).size).toBe(3);
  for (const { traceId, spanId } of others) expect([traceId.length, spanId.length]).toEqual([32, 16]);
});
