import { diagnose } from "../core/diagnose.ts";
import { type Examination, examine } from "../core/examine.ts";
import type { Ports } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";
import { rememberAll, repair } from "../core/repair.ts";
import type { CommandContext } from "./command.ts";
import { drive } from "./drive.ts";
import { entriesAfter } from "./entries-after.ts";
import type { OpenSecret } from "./open.ts";
import type { SecretFinding } from "./results/doctor.ts";
import { person, workerName } from "./who.ts";

/** What follows from a repair is seen through this long; the service goes on with the rest. */
const followMs = 60_000;

/**
 * Examines one secret; with `fixes` puts its record right, and works on it until agents have a credential again. Then it looks once more: what a repair
 * brings to light, such as a login whose value nobody can read any more, is repaired as well.
 */
export async function attend(
  secret: OpenSecret,
  fixes: boolean,
  context: CommandContext,
): Promise<SecretFinding> {
  const { ports, managed } = secret;
  const { ref, policy } = managed;
  const seen = await examine(ref, ports);
  const found = diagnose(seen, policy.attemptsMax).map((one) => ({ ...one }));
  if (fixes) await rememberAll(seen, ports);
  let repaired = fixes ? await repair(seen, ports, person()) : undefined;
  if (repaired === undefined) return { ref, diagnoses: found, fixed: false, phase: phaseOf(seen) };
  for (;;) {
    const record = await follow(secret, context);
    const { phase } = record.state;
    const after = await examine(ref, ports);
    const left = diagnose(after, policy.attemptsMax).filter(({ fix }) => fix !== undefined);
    if (phase !== "halted" && left.length === 0) return { ref, diagnoses: found, fixed: true, phase };
    const news = left.filter(({ ailment }) => !found.some((known) => known.ailment === ailment));
    const isStuck = phase === "halted" || news.length < left.length;
    const again = isStuck ? undefined : await repair(after, ports, person());
    if (again === undefined) {
      // The record is right, and what followed from it was taken back: the target did not go along.
      const why = await failureSince(repaired, record, ports);
      const advice = `It was tried, and did not help: ${why}. Remove the cause; then run it with --fix again.`;
      const told = found.map((one) => (one.fix === undefined ? one : { ...one, advice }));
      return { ref, diagnoses: told, fixed: false, phase };
    }
    found.push(...news);
    repaired = again;
  }
}

/** Works on what follows from a repair. */
async function follow(secret: OpenSecret, { terminal, signal }: CommandContext): Promise<RotationRecord> {
  const { ref } = secret.managed;
  await secret.wake([ref]);
  return drive(ref, secret, {
    worker: workerName("doctor"),
    terminal,
    signal,
    timeoutMs: followMs,
    reached: ({ state }) => ["idle", "grace", "retire", "halted"].includes(state.phase),
  }).finally(() => secret.wake([ref]));
}

/** How the audit calls what failed, was taken back, or waits for a person. */
const failures = /\.failed$|^undo\.began$|^halted$/;

/** Why nothing came of what followed from a repair. */
async function failureSince(repaired: RotationRecord, now: RotationRecord, ports: Ports): Promise<string> {
  const entries = await entriesAfter(repaired.audit.sequence, now, ports);
  return entries.findLast(({ action }) => failures.test(action))?.detail ?? "the target does not go along";
}

function phaseOf({ record }: Examination): string | undefined {
  return record?.state.phase;
}
