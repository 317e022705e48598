import { type AgentState, viewFleet } from "../core/fleet.ts";
import { activeHolds } from "../core/intervene.ts";
import type { Policy, Ports } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";
import { previousNames } from "../core/same-login.ts";
import { isCompromised, rotationOf } from "../core/transition.ts";
import type { OpenSecret } from "./open.ts";
import type { SecretStatus } from "./results/status.ts";

/** What is known of one secret now: from the journal, the agents' reports, and the audit where something has failed. */
export async function describeSecret({
  ports,
  managed,
  storeName,
  place,
}: OpenSecret): Promise<SecretStatus> {
  const { ref, type, policy } = managed;
  const now = ports.clock.now();
  const record = (await ports.journal.load(ref))?.record;
  const agents = await ports.journal.agents(ref);
  const rotation = record && rotationOf(record.state);
  const versions = {
    old: record === undefined ? [] : previousNames(record, rotation),
    new: record?.current?.version ?? "",
  };
  const view = viewFleet(agents, versions, policy, now);
  return {
    ref,
    store: storeName,
    place,
    type,
    tenant: managed.tenant,
    fleets: [...managed.fleets],
    phase: record?.state.phase ?? "not begun",
    epoch: record?.epoch ?? 0,
    current: record?.current && { version: record.current.version, ageMs: now - record.current.since },
    rotation: rotation && { version: rotation.id, kind: rotation.kind, requestedBy: rotation.requestedBy },
    reason: reasonOf(record),
    paused: record?.paused && {
      by: record.paused.by,
      reason: record.paused.reason,
      agoMs: now - record.paused.at,
    },
    holds: (record === undefined ? [] : activeHolds(record, now)).map(({ by, reason, until }) => ({
      by,
      reason,
      untilInMs: until - now,
    })),
    compromised: record !== undefined && isCompromised(record, record.current),
    leaked: (record?.compromised ?? [])
      .filter((entry) => entry.refusedAt === undefined)
      .map(({ version }) => version),
    lastFailure: record && (await lastFailure(ports, record, now)),
    graceEndsInMs: graceEndsInMs(record, policy, now),
    nextRotationInMs: nextRotationInMs(record, policy, now),
    agents: { live: view.live, adopted: view.adopted },
    laggards: [...view.laggards],
    holders: [...view.holders],
    onVersion: countByVersion(agents, now, policy.cacheTtlMs),
    debts: (record?.debts ?? []).map(({ version, reason, since, attempts }) => ({
      version,
      reason,
      sinceMs: now - since,
      attempts,
    })),
    waits: record?.wish && `${record.wish.kind} requested by ${record.wish.requestedBy}`,
  };
}

function graceEndsInMs(record: RotationRecord | undefined, policy: Policy, now: number): number | undefined {
  if (record?.state.phase !== "grace" || record.paused !== undefined) return undefined;
  const held = activeHolds(record, now).map(({ until }) => until);
  return Math.max(0, Math.max(record.state.since + policy.graceAtMostMs, ...held) - now);
}

/** Nothing is scheduled before there is a value, and nothing that is paused or halted begins by itself. */
function nextRotationInMs(
  record: RotationRecord | undefined,
  { schedule }: Policy,
  now: number,
): number | undefined {
  if (schedule === undefined || record?.current === undefined) return undefined;
  if (record.paused !== undefined || record.state.phase === "halted") return undefined;
  return Math.max(0, Math.max(schedule.next(record.current.since, now), record.scheduleNotBefore) - now);
}

/** From the audit, while something is under way or owed; an audit that cannot be read is no reason to show nothing. */
async function lastFailure(
  ports: Ports,
  record: RotationRecord,
  now: number,
): Promise<SecretStatus["lastFailure"]> {
  if (record.state.phase === "idle" && record.debts.length === 0) return undefined;
  let last: { readonly what: string; readonly agoMs: number } | undefined;
  try {
    for await (const { action, detail, at } of ports.audit.read(record.ref)) {
      if (action.endsWith(".failed"))
        last = { what: `${action.replace(".failed", "")}, ${detail}`, agoMs: now - at };
      else if (action.endsWith(".done") || action === "debt.paid") last = undefined;
    }
  } catch {
    return undefined;
  }
  const nextInMs = record.dueAt === null ? undefined : Math.max(0, record.dueAt - now);
  return last && { ...last, nextInMs };
}

function reasonOf(record: RotationRecord | undefined): string | undefined {
  if (record?.state.phase === "halted") return `${record.state.code}: ${record.state.reason}`;
  return record?.state.phase === "undo" ? record.state.reason : undefined;
}

function countByVersion(
  agents: readonly AgentState[],
  now: number,
  cacheTtlMs: number,
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const agent of agents) {
    if (agent.leaving === true || now - agent.seenAt >= 3 * cacheTtlMs) continue;
    for (const version of agent.inUse) counts[version] = (counts[version] ?? 0) + 1;
  }
  return counts;
}
