import * as z from "zod/mini";

/** A pin that an agent puts on a version for a long task. */
export const Hold = z.object({
  id: z.string(),
  version: z.string(),
  /** When it was taken, by the agent's clock; only shown. */
  since: z.number(),
});
export type Hold = z.infer<typeof Hold>;

/** What an agent says of its use of one secret, sent at least once per cache TTL. */
export const AgentReport = z.object({
  ref: z.string(),
  /** Unique within the installation: the enrolled principal, or `principal/name`. */
  agent: z.string(),
  fleet: z.string(),
  /** Grows with every report of this agent on this secret, over restarts too. */
  sequence: z.number(),
  /** The newest version that it has used with success. */
  adopted: z.optional(z.string()),
  /** Every version it still has in a cache, an open connection or a hold. */
  inUse: z.array(z.string()),
  holds: z.array(Hold),
  /** It stops: do not wait for it. */
  leaving: z.optional(z.boolean()),
});
export type AgentReport = z.infer<typeof AgentReport>;

/** The latest report of an agent with the times at which the journal's side saw it. */
export interface AgentState extends AgentReport {
  readonly seenAt: number;
  /** When a report first named the adopted version. */
  readonly adoptedAt: number | undefined;
  /** When each hold was first seen, by hold id. */
  readonly holdSeenAt: Readonly<Record<string, number>>;
}
