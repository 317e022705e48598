import { setImmediate as breathe } from "node:timers/promises";
import { asKeyturnError } from "../core/errors.ts";
import { viewFleet } from "../core/fleet.ts";
import type { ManagedSecret, Ports } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";
import { previousNames } from "../core/same-login.ts";
import { rotationOf } from "../core/transition.ts";
import type { Instruments, SeeGauge } from "./instruments.ts";

export interface StateSource {
  readonly ports: Pick<Ports, "journal" | "secrets" | "clock" | "log">;
  /** The greatest age that a policy allows; undefined where none says. */
  readonly maxAgeMs: (ref: string) => number | undefined;
}

/** After so many secrets others have their turn: reading a journal of thousands must not hold up an agent. */
const inOneGo = 20;

/** Reads the state of every secret from the journal whenever metrics are exported, and only then. */
export function observeState(instruments: Instruments, source: StateSource): void {
  let looking: Promise<void> | undefined;
  instruments.observe((see) => {
    // A journal that answers slower than it is asked is asked once.
    looking ??= look(source, see).finally(() => {
      looking = undefined;
    });
    return looking;
  });
}

async function look(source: StateSource, see: SeeGauge): Promise<void> {
  const { journal, secrets, clock, log } = source.ports;
  const unreadable = (what: string, thrown: unknown): void => {
    const { code, message } = asKeyturnError(thrown);
    log("debug", `the state of ${what} cannot be measured`, { code, reason: message });
  };
  const phases = new Map<string, number>();
  for (const [index, ref] of secrets.refs().entries()) {
    if (index % inOneGo === inOneGo - 1) await breathe();
    const managed = secrets.get(ref);
    if (managed === undefined) continue;
    try {
      const record = (await journal.load(ref))?.record;
      const phase = record?.state.phase ?? "none";
      phases.set(phase, (phases.get(phase) ?? 0) + 1);
      seeSecret(see, managed, record, source);
      if (record !== undefined && managed.fleets.length > 0) await seeFleet(see, managed, record, source);
    } catch (thrown) {
      unreadable(ref, thrown);
    }
  }
  for (const [phase, count] of phases) see("secrets", count, { "keyturn.phase": phase });
  try {
    const dueAt = await journal.nextDueAt();
    see("dueLag", secondsSince(dueAt ?? clock.now(), clock.now()), {});
  } catch (thrown) {
    unreadable("the schedule", thrown);
  }
}

function seeSecret(
  see: SeeGauge,
  { ref, type, tenant }: ManagedSecret,
  record: RotationRecord | undefined,
  { ports, maxAgeMs }: StateSource,
): void {
  const now = ports.clock.now();
  const which = { "keyturn.secret": ref, "keyturn.type": type };
  const maxAge = maxAgeMs(ref);
  if (maxAge !== undefined) see("credentialMaxAge", maxAge / 1_000, { ...which, "keyturn.tenant": tenant });
  if (record === undefined) return;
  const { state, current, debts } = record;
  if (current !== undefined) {
    see("credentialAge", secondsSince(current.since, now), { ...which, "keyturn.tenant": tenant });
  }
  if (state.phase === "halted") see("halted", 1, { ...which, "error.type": state.code });
  else see("halted", 0, which);
  const rotation = rotationOf(state);
  if (rotation !== undefined) {
    see("rotationAge", secondsSince(rotation.startedAt, now), { ...which, "keyturn.phase": state.phase });
  }
  for (const reason of ["retired", "leaked", "superseded", "foreign"] as const) {
    const owed = debts.filter((debt) => debt.reason === reason).length;
    see("debts", owed, { "keyturn.secret": ref, "keyturn.reason": reason });
  }
  const since = Math.min(now, ...debts.map((debt) => debt.since));
  see("debtAge", secondsSince(since, now), { "keyturn.secret": ref });
}

async function seeFleet(
  see: SeeGauge,
  { ref, policy }: ManagedSecret,
  record: RotationRecord,
  { ports }: StateSource,
): Promise<void> {
  const current = record.current?.version ?? "";
  const versions = {
    old: previousNames(record, rotationOf(record.state)).filter((name) => name !== current),
    new: current,
  };
  const agents = await ports.journal.agents(ref);
  const fleet = viewFleet(agents, versions, policy, ports.clock.now());
  const counts = { live: fleet.live, adopted: fleet.adopted, laggard: fleet.laggards.length };
  for (const [name, count] of Object.entries(counts)) {
    see("fleetAgents", count, { "keyturn.secret": ref, "keyturn.state": name });
  }
}

function secondsSince(since: number, now: number): number {
  return Math.max(0, now - since) / 1_000;
}
