import { viewFleet } from "../core/fleet.ts";
import { inquire } from "../core/inquire.ts";
import type { Policy, Ports } from "../core/ports.ts";
import { readOnly } from "../core/read-only.ts";
import { newRecord, type RotationRecord } from "../core/record.ts";
import { answer } from "../core/request.ts";
import type { Finding, Outline, Usage } from "../core/rotator.ts";
import { namesOf } from "../core/same-login.ts";
import { contextOf, fingerprintOf, read, type Stand } from "../core/stand.ts";
import type { Manifest } from "../manifest/manifest.ts";
import type { OpenSecret } from "./open.ts";
import type { SecretPlan } from "./results/plan.ts";
import { duration } from "./terminal.ts";
import { person } from "./who.ts";

/** Saving the candidate, promoting it, disabling what it replaces. */
const storeWrites = 3;

/** What a rotation of this secret would do, when, to whom, and what stands against it. Writes nothing, through no port. */
export async function planOf(secret: OpenSecret, manifest: Manifest): Promise<SecretPlan> {
  const { managed, storeName, place } = secret;
  const ports = readOnly(secret.ports);
  const { ref, policy, fleets } = managed;
  const record = (await ports.journal.load(ref))?.record;
  const seen = await inquire(ref, ports, record, look);
  const now = ports.clock.now();
  const around = { policy, overlap: seen.overlap, now, newId: "planned" };
  const answered = answer(record ?? newRecord(ref), { kind: "rotate", by: person() }, around);
  const agents = await ports.journal.agents(ref);
  const current = record?.current?.version;
  const old = record === undefined || current === undefined ? [] : namesOf(record, current);
  const fleet = viewFleet(agents, { old, new: current ?? "" }, policy, now);
  const { usage, outline } = seen;
  return {
    ref,
    store: storeName,
    place,
    type: managed.type,
    overlap: seen.overlap,
    ready: seen.findings.every(({ ok }) => ok) && answered.answer !== "refused",
    answer: answered.answer,
    why: answered.why,
    checks: seen.findings.map(({ check, ok, message }) => ({ check, ok, message })),
    steps: stepsOf(secret, seen),
    schedule: scheduleOf(record, policy, ports),
    grace: {
      atLeastMs: Math.max(policy.graceAtLeastMs, policy.cacheTtlMs),
      atMostMs: policy.graceAtMostMs,
      onLaggards: policy.onLaggards,
    },
    affected: {
      fleets: [...fleets],
      agents: fleet.live,
      holders: [...fleet.holders],
      sessions: usage?.sessions,
      clients: [...(usage?.clients ?? [])],
    },
    cost: { connections: outline?.connections, refusedLogins: outline?.refusedLogins, storeWrites },
    quota: manifest.stores.get(storeName)?.quota,
  };
}

interface Seen {
  readonly overlap: "both-live" | "cutover";
  readonly findings: readonly Finding[];
  readonly outline: Outline | undefined;
  readonly usage: Usage | undefined;
}

async function look(stand: Stand): Promise<Seen> {
  const { rotator, managed } = stand;
  rotator.checkConfig(managed.config);
  const current = await read(stand, "current");
  const context = await contextOf(
    stand,
    "plan",
    current === undefined ? "" : fingerprintOf(stand, current.value),
  );
  const findings = await rotator.preflight(context);
  const outline = rotator.outline(current?.value, managed.config);
  const asks = current !== undefined && findings.every(({ ok }) => ok);
  const usage = asks ? await rotator.usage(current.value, context) : undefined;
  return { overlap: rotator.overlap, findings, outline, usage };
}

/** The steps are the same for every type; what set and retire change is the type's. */
function stepsOf({ managed, storeName }: OpenSecret, { outline, overlap }: Seen): SecretPlan["steps"] {
  const { policy, fleets } = managed;
  const told = fleets.length === 0 ? "nobody: it names no fleet" : fleets.join(", ");
  const changesIn = (step: "set" | "retire"): SecretPlan["steps"] =>
    (outline?.changes ?? []).filter((one) => one.step === step).map(({ change }) => ({ step, change }));
  const least = duration(Math.max(policy.graceAtLeastMs, policy.cacheTtlMs));
  const most = duration(policy.graceAtMostMs);
  const meanwhile =
    overlap === "both-live"
      ? "old and new both work"
      : "the old value is refused already; readers have changed over by the rule for pending";
  return [
    { step: "create", change: `a new value is saved as pending in store ${storeName}` },
    ...changesIn("set"),
    { step: "test", change: "nothing: a login with the new value, its rights compared with the old one's" },
    { step: "finish", change: `pending becomes current in store ${storeName}` },
    { step: "announce", change: `nothing: told are ${told}` },
    { step: "grace", change: `nothing: ${meanwhile}, for ${least} at least and ${most} at most` },
    ...changesIn("retire"),
  ];
}

function scheduleOf(
  record: RotationRecord | undefined,
  { schedule }: Policy,
  { clock }: Ports,
): SecretPlan["schedule"] {
  const now = clock.now();
  if (schedule === undefined) return { note: "no schedule: it rotates on request" };
  if (record?.current === undefined) return { note: "its schedule begins with the first rotation by hand" };
  if (record.paused !== undefined) return { note: `paused by ${record.paused.by}: ${record.paused.reason}` };
  const at = Math.max(schedule.next(record.current.since, now), record.scheduleNotBefore);
  const when = new Date(at).toISOString();
  return { nextInMs: Math.max(0, at - now), note: at <= now ? "due now" : `by its schedule at ${when}` };
}
