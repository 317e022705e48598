import * as z from "zod/mini";
import type { Request } from "../core/request.ts";

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
