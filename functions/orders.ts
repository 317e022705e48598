import * as z from "zod/mini";
import type { RotationRecord } from "../core/record.ts";
import type { Request } from "../core/request.ts";
import { rotationOf } from "../core/transition.ts";

/** What a person asks for by hand, as JSON: `{ "order": "revoke", "ref": "billing/db", "version": "current", "by": "alice" }`. */
export const Order = z.discriminatedUnion("order", [
  z.strictObject({ order: z.literal("rotate"), ref: z.string(), by: z.string() }),
  z.strictObject({ order: z.literal("resume"), ref: z.string(), by: z.string() }),
  z.strictObject({
    order: z.enum(["cancel", "rollback"]),
    ref: z.string(),
    by: z.string(),
    insist: z._default(z.boolean(), false),
  }),
  z.strictObject({
    order: z.literal("revoke"),
    ref: z.string(),
    /** A version's id, or `current`, `pending` or `previous`: what holds that stage when the order is taken. */
    version: z.string(),
    by: z.string(),
    cutFirst: z._default(z.boolean(), false),
  }),
]);
export type Order = z.infer<typeof Order>;

/** Two clocks of AWS's are so far apart at the most, and a person does not mean two revocations within that time. */
const slackMs = 2_000;
const stages = ["current", "pending", "previous"];

/**
 * Where an order stands that was sent at that time. Queues deliver twice, and late; what has begun or come out since is not what the person meant.
 * - `open`: it is to be obeyed. `past`: it was obeyed, or others have been before it.
 * - `unclear`: it names a stage that may have been another version's when it was sent.
 */
export function standingOf(
  record: RotationRecord | undefined,
  order: Order,
  sentAt: number,
): "open" | "past" | "unclear" {
  if (record === undefined) return "open";
  const { state, paused, compromised } = record;
  const begun = rotationOf(state)?.startedAt ?? 0;
  const hasMoved = begun > sentAt || (record.current?.since ?? 0) > sentAt;
  switch (order.order) {
    case "rotate":
    case "cancel":
    case "rollback":
      return hasMoved ? "past" : "open";
    case "resume": {
      const stoppedAt = Math.max(paused?.at ?? 0, state.phase === "halted" ? state.at : 0);
      return stoppedAt > sentAt ? "past" : "open";
    }
    case "revoke": {
      if (!stages.includes(order.version)) return "open";
      if (compromised.some(({ at }) => at > sentAt - slackMs)) return "past";
      return hasMoved ? "unclear" : "open";
    }
  }
}

/** What core is asked for; a version to revoke is looked up by whoever has the store. */
export function requestOf(order: Exclude<Order, { order: "revoke" }>): Request {
  switch (order.order) {
    case "rotate":
    case "resume":
      return { kind: order.order, by: order.by };
    case "cancel":
    case "rollback":
      return { kind: order.order, by: order.by, insist: order.insist };
  }
}
