import { diagnose } from "../core/diagnose.ts";
import { type Examination, examine } from "../core/examine.ts";
import { repair } from "../core/repair.ts";
import type { CommandContext } from "./command.ts";
import { drive } from "./drive.ts";
import type { OpenSecret } from "./open.ts";
import type { SecretFinding } from "./results/doctor.ts";
import { person, workerName } from "./who.ts";

/** What follows from a repair is seen through this long; the service goes on with the rest. */
const followMs = 60_000;

/** Examines one secret; with `fixes` puts its record right, and works on it until agents have a credential again. */
export async function attend(
  secret: OpenSecret,
  fixes: boolean,
  { terminal, signal }: CommandContext,
): Promise<SecretFinding> {
  const { ports, managed } = secret;
  const { ref, policy } = managed;
  const seen = await examine(ref, ports);
  const found = diagnose(seen, policy.attemptsMax).map((one) => ({ ...one }));
  const repaired = fixes ? await repair(seen, ports, person()) : undefined;
  if (repaired === undefined) return { ref, diagnoses: found, fixed: false, phase: phaseOf(seen) };
  await secret.wake([ref]);
  const record = await drive(ref, secret, {
    worker: workerName("doctor"),
    terminal,
    signal,
    timeoutMs: followMs,
    reached: ({ state }) => ["idle", "grace", "retire", "halted"].includes(state.phase),
  }).finally(() => secret.wake([ref]));
  return { ref, diagnoses: found, fixed: record.state.phase !== "halted", phase: record.state.phase };
}

function phaseOf({ record }: Examination): string | undefined {
  return record?.state.phase;
}
