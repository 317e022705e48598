import type { AgentReport } from "./fleet.ts";
import type { Clock, Journal, Ports } from "./ports.ts";
import type { RotationRecord } from "./record.ts";
import { namesOf, previousNames } from "./same-login.ts";

/**
 * Takes what agents report, and says which holds are not granted.
 *
 * A hold is written first and the record read after; retire writes the record first and reads the holds after. So of a hold and a
 * retire that meet, at least one sees the other, without a lock between them.
 */
export async function acceptReports(
  { journal, clock }: Pick<Ports, "journal"> & { readonly clock: Pick<Clock, "now"> },
  reports: readonly AgentReport[],
): Promise<{ readonly refusedHolds: readonly string[] }> {
  await journal.report(reports, clock.now());
  const refusedHolds: string[] = [];
  const records = new Map<string, RotationRecord | undefined>();
  for (const report of reports) {
    if (report.holds.length === 0) continue;
    const record = await loadOnce(journal, records, report.ref);
    const refused = report.holds.filter((hold) => record !== undefined && isEnding(record, hold.version));
    refusedHolds.push(...refused.map((hold) => hold.id));
  }
  return { refusedHolds };
}

async function loadOnce(
  journal: Journal,
  records: Map<string, RotationRecord | undefined>,
  ref: string,
): Promise<RotationRecord | undefined> {
  if (!records.has(ref)) records.set(ref, (await journal.load(ref))?.record);
  return records.get(ref);
}

/** Retire has begun for it, or it is owed, or somebody else may know it, or it was proven refused and is not what is to be read now. */
function isEnding(record: RotationRecord, version: string): boolean {
  const { state, current, refused } = record;
  const names = namesOf(record, version);
  const isRetiring = state.phase === "retire" && previousNames(record, state.rotation).includes(version);
  const isOwed = record.debts.some((debt) => names.includes(debt.version));
  const isLeaked = record.compromised.some((entry) => names.includes(entry.version));
  return isRetiring || isOwed || isLeaked || (refused.includes(version) && version !== current?.version);
}
