import { Command } from "commander";
import { type AgentState, viewFleet } from "../core/fleet.ts";
import type { ManagedSecret, Ports } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";
import { isCompromised, rotationOf } from "../core/transition.ts";
import { action, type CommandContext } from "./command.ts";
import { exitCodes } from "./exit.ts";
import { openManifest } from "./open.ts";
import { duration, short } from "./terminal.ts";

export function statusCommand(): Command {
  const command = new Command("status")
    .description("who is on which version, what is under way, and what is owed")
    .argument("[secret]", "one secret; without it, all of them")
    .addHelpText("after", "\nExample:\n  $ keyturn status billing/db --json");
  return command.action(action(command, status));
}

async function status({ manifestPath, terminal }: CommandContext, ref: string | undefined): Promise<number> {
  await using opened = await openManifest(manifestPath);
  const refs = ref === undefined ? opened.manifest.secrets.refs() : [ref];
  let halted = false;
  const all = [];
  for (const one of refs) {
    const { ports, managed, storeName } = await opened.secret(one);
    const found = await describe(ports, managed);
    halted ||= found.phase === "halted";
    all.push({ ...found, store: storeName });
    terminal.show(page(found));
  }
  terminal.result(ref === undefined ? { secrets: all } : all[0]);
  return halted ? exitCodes.halted : exitCodes.done;
}

/** What `status --json` says of one secret. Times are milliseconds; versions are whole. */
interface SecretStatus {
  readonly ref: string;
  readonly type: string;
  readonly phase: string;
  readonly epoch: number;
  readonly current: { readonly version: string; readonly ageMs: number } | undefined;
  readonly rotation:
    | { readonly version: string; readonly kind: string; readonly requestedBy: string }
    | undefined;
  readonly reason: string | undefined;
  /** Current has leaked, and its successor is not out yet. */
  readonly compromised: boolean;
  /** Versions that have leaked and are not yet proven refused. */
  readonly leaked: readonly string[];
  /** The last thing that failed in what is under way, and how long until it is tried again. */
  readonly lastFailure:
    | { readonly what: string; readonly agoMs: number; readonly nextInMs: number | undefined }
    | undefined;
  /** How long grace goes on at the most. */
  readonly graceEndsInMs: number | undefined;
  readonly agents: { readonly live: number; readonly adopted: number };
  readonly laggards: readonly string[];
  readonly holders: readonly string[];
  readonly onVersion: Readonly<Record<string, number>>;
  readonly debts: readonly {
    readonly version: string;
    readonly reason: string;
    readonly sinceMs: number;
    readonly attempts: number;
  }[];
  readonly waits: string | undefined;
}

async function describe(ports: Ports, managed: ManagedSecret): Promise<SecretStatus> {
  const { ref, type, policy } = managed;
  const now = ports.clock.now();
  const record = (await ports.journal.load(ref))?.record;
  const agents = await ports.journal.agents(ref);
  const rotation = record && rotationOf(record.state);
  const versions = { old: rotation?.previous?.version, new: record?.current?.version ?? "" };
  const view = viewFleet(agents, versions, policy, now);
  return {
    ref,
    type,
    phase: record?.state.phase ?? "not begun",
    epoch: record?.epoch ?? 0,
    current: record?.current && { version: record.current.version, ageMs: now - record.current.since },
    rotation: rotation && { version: rotation.id, kind: rotation.kind, requestedBy: rotation.requestedBy },
    reason: reasonOf(record),
    compromised: record !== undefined && isCompromised(record, record.current),
    leaked: (record?.compromised ?? [])
      .filter((entry) => entry.refusedAt === undefined)
      .map(({ version }) => version),
    lastFailure: record && (await lastFailure(ports, record, now)),
    graceEndsInMs:
      record?.state.phase === "grace"
        ? Math.max(0, record.state.since + policy.graceAtMostMs - now)
        : undefined,
    agents: { live: view.live, adopted: view.adopted },
    laggards: view.laggards,
    holders: view.holders,
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

function page(secret: SecretStatus): string {
  const { current, rotation, agents } = secret;
  const lines = [
    `${secret.ref}  ${secret.phase}${secret.reason === undefined ? "" : `: ${secret.reason}`}`,
    `  type      ${secret.type}`,
    `  current   ${current === undefined ? "none yet: keyturn rotate makes the first" : `${short(current.version)}, ${duration(current.ageMs)} old`}`,
  ];
  if (secret.compromised) lines.push("            COMPROMISED: its successor is not out yet");
  if (rotation !== undefined) {
    lines.push(
      `  rotation  ${rotation.kind} to ${short(rotation.version)}, requested by ${rotation.requestedBy}`,
    );
  }
  const byVersion = Object.entries(secret.onVersion).map(
    ([version, count]) => `${count} on ${short(version)}`,
  );
  lines.push(`  agents    ${agents.live} live${byVersion.length === 0 ? "" : `: ${byVersion.join(", ")}`}`);
  if (secret.laggards.length > 0) lines.push(`  waits for ${secret.laggards.slice(0, 10).join(", ")}`);
  if (secret.holders.length > 0) lines.push(`  held by   ${secret.holders.slice(0, 10).join(", ")}`);
  if (secret.graceEndsInMs !== undefined) {
    lines.push(
      `  grace     ends when every live agent has changed over, at the latest in ${duration(secret.graceEndsInMs)}`,
    );
  }
  for (const version of secret.leaked) lines.push(`  LEAKED    ${short(version)} is not yet proven refused`);
  if (secret.lastFailure !== undefined) {
    const { what, agoMs, nextInMs } = secret.lastFailure;
    const next = nextInMs === undefined ? "" : `; next try in ${duration(nextInMs)}`;
    lines.push(`  failed    ${what} (${duration(agoMs)} ago${next})`);
  }
  for (const debt of secret.debts) {
    lines.push(
      `  owed      ${short(debt.version)} (${debt.reason}) for ${duration(debt.sinceMs)}, ${debt.attempts} tries`,
    );
  }
  if (secret.waits !== undefined) lines.push(`  next      ${secret.waits}`);
  return lines.join("\n");
}
