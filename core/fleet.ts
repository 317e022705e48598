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

/** What is known of an agent once it has said so; undefined where that is no news. */
export function hear(
  known: AgentState | undefined,
  report: AgentReport,
  now: number,
): AgentState | undefined {
  if (known !== undefined && known.sequence >= report.sequence) return undefined;
  const seenBefore = new Map(Object.entries(known?.holdSeenAt ?? {}));
  const holdSeenAt = Object.fromEntries(report.holds.map(({ id }) => [id, seenBefore.get(id) ?? now]));
  const firstNamed = report.adopted === known?.adopted ? known?.adoptedAt : now;
  const adoptedAt = report.adopted === undefined ? undefined : firstNamed;
  return { ...report, seenAt: now, adoptedAt, holdSeenAt };
}

/** What the agents' reports say of a change from one version to the next; `old` are all the names that the old one has. */
export interface FleetView {
  /** Agents heard of within three cache TTLs. */
  readonly live: number;
  /** Live agents that have used the new version. */
  readonly adopted: number;
  /** Live agents that still have the old version in a cache, a connection or a hold. */
  readonly laggards: readonly string[];
  /** Live agents that keep the old version by a hold. */
  readonly holders: readonly string[];
  /** Agents that used the old version and went silent. */
  readonly gone: readonly string[];
}

/** Silent for this many cache TTLs is not live. */
const liveForTtls = 3;

export function viewFleet(
  agents: readonly AgentState[],
  versions: { readonly old: readonly string[]; readonly new: string },
  policy: { readonly cacheTtlMs: number; readonly graceAtMostMs: number },
  now: number,
): FleetView {
  const isLive = (agent: AgentState) =>
    agent.leaving !== true && now - agent.seenAt < liveForTtls * policy.cacheTtlMs;
  const live = agents.filter(isLive);
  const usesOld = ({ inUse, holds }: AgentState) =>
    versions.old.filter((name) => inUse.includes(name) || holds.some(({ version }) => version === name));
  // Whoever has held it for longer than anybody waits has no other use of it either, as far as that version goes.
  const isLate = ({ holds, holdSeenAt }: AgentState, name: string) => {
    const on = holds.filter(({ version }) => version === name);
    const expired = (id: string) => now - (holdSeenAt[id] ?? now) >= policy.graceAtMostMs;
    return on.length > 0 && on.every(({ id }) => expired(id));
  };
  const laggards = live.filter((agent) => usesOld(agent).some((name) => !isLate(agent, name)));
  return {
    live: live.length,
    adopted: live.filter((agent) => agent.adopted === versions.new).length,
    laggards: laggards.map((agent) => agent.agent),
    holders: laggards
      .filter((agent) => agent.holds.some((hold) => versions.old.includes(hold.version)))
      .map((agent) => agent.agent),
    gone: agents
      .filter((agent) => !isLive(agent) && agent.leaving !== true && usesOld(agent).length > 0)
      .map((agent) => agent.agent),
  };
}

/** Proof of adoption: somebody who lives has used the new version, and nobody who lives has the old one. Silence proves nothing. */
export function isReleased(view: FleetView): boolean {
  return view.adopted > 0 && view.laggards.length === 0;
}
