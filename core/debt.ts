import { strike } from "./emergency.ts";
import type { Failure, Outcome } from "./outcome.ts";
import type { Debt, RotationRecord, VersionMark } from "./record.ts";
import { alsoNamed, namesOf, refusedFor } from "./same-login.ts";
import {
  andThen,
  backoffMs,
  enterIdle,
  failed,
  failureNote,
  isAlarm,
  type Surroundings,
  stay,
  type Transition,
} from "./transition.ts";

/** What becomes of a debt when it was tried to pay it. */
export function settled(
  record: RotationRecord,
  outcome: Extract<Outcome, { step: "settle" }>,
  around: Surroundings,
): Transition {
  const debt = record.debts.find((other) => other.fingerprint === outcome.debt.fingerprint);
  if (debt === undefined) return stay(record);
  if (outcome.result === "named") return named(record, debt, outcome.current, around);
  if (outcome.result === "in-use") return stillInUse(record, debt, outcome.clients, around);
  if (outcome.result === "failed") return settleFailed(record, debt, outcome, around);
  return paid(record, debt, outcome, around);
}

function paid(
  record: RotationRecord,
  debt: Debt,
  outcome: { result: "refused" | "gone"; sessionsEnded: number; survives: readonly string[] },
  { now }: Surroundings,
): Transition {
  const { version } = debt;
  const survives = outcome.survives.length === 0 ? "" : `; survives: ${outcome.survives.join(", ")}`;
  const compromised = seenRefused(record, debt, { ...outcome, now });
  const leak = record.compromised.find((entry) => !compromised.includes(entry));
  const since = leak === undefined ? "" : `, ${secondsBetween(leak.at, now)} s after it was reported`;
  const cleared: Transition = {
    record: {
      ...refusedFor(record, version),
      debts: record.debts.filter((other) => other !== debt),
      compromised,
    },
    notes: [
      {
        action: "debt.paid",
        detail:
          outcome.result === "gone"
            ? "it was disabled after it had been proven refused"
            : `proven refused${since}; ${outcome.sessionsEnded} sessions ended${survives}`,
        version,
      },
    ],
    events: [
      {
        type: "dev.keyturn.secret.retired.v1",
        step: `retired/${version}`,
        data: { epoch: record.epoch, version, sessionsEnded: outcome.sessionsEnded },
      },
    ],
  };
  const { state } = record;
  const ends = state.phase === "retire" && state.rotation.previous?.fingerprint === debt.fingerprint;
  return ends ? andThen(cleared, (after) => enterIdle(after, state.rotation)) : cleared;
}

function secondsBetween(from: number, to: number): string {
  return (Math.max(0, to - from) / 1_000).toFixed(1);
}

/** An incident report says when the target was first seen to refuse what had leaked, and what was left of it. */
export function seenRefused(
  record: RotationRecord,
  mark: VersionMark,
  seen: { readonly now: number; readonly sessionsEnded: number; readonly survives: readonly string[] },
): RotationRecord["compromised"] {
  const names = namesOf(record, mark.version);
  return record.compromised.map((entry) =>
    entry.refusedAt === undefined && (entry.fingerprint === mark.fingerprint || names.includes(entry.version))
      ? { ...entry, refusedAt: seen.now, sessionsEnded: seen.sessionsEnded, survives: [...seen.survives] }
      : entry,
  );
}

/** From here on the leak is one of current, which is struck as if it had been told so at once. */
function named(
  record: RotationRecord,
  { version }: Debt,
  mark: VersionMark,
  around: Surroundings,
): Transition {
  const isKnown = record.current?.version === mark.version;
  const current = isKnown ? record.current : { ...mark, since: around.now };
  const told = stay(alsoNamed({ ...record, current }, version, mark.version), {
    action: "emergency.named",
    detail: `it is the login of ${mark.version}, which is current`,
    version,
  });
  return andThen(told, (after) => strike(after, mark, around));
}

function settleFailed(
  record: RotationRecord,
  debt: Debt,
  failure: Failure,
  { now, policy }: Surroundings,
): Transition {
  const attempts = debt.attempts + 1;
  const notBefore = now + backoffMs(policy, attempts);
  const { version } = debt;
  return {
    record: postponed(record, debt, attempts, notBefore),
    notes: attempts > policy.attemptsMax ? [] : [failureNote("retire", attempts, failure, version)],
    events: isAlarm(attempts, policy)
      ? [
          failed(record.epoch, "delayed", `${version}/${attempts}`, {
            code: failure.code,
            message: `${version} is not proven refused: ${failure.message}`,
          }),
        ]
      : [],
  };
}

/** Every agent that reports has released it, and yet the target sees sessions: readers that report nothing. */
function stillInUse(
  record: RotationRecord,
  debt: Debt,
  clients: readonly string[],
  { now, policy }: Surroundings,
): Transition {
  const attempts = debt.attempts + 1;
  const reason = `${debt.version} is still used at the target by ${clients.join(", ")}`;
  return {
    record: postponed(record, debt, attempts, now + pollMs(policy)),
    notes: attempts === 1 ? [{ action: "retire.waits", detail: reason, version: debt.version }] : [],
    events: isAlarm(attempts, policy)
      ? [
          failed(record.epoch, "laggards", `${debt.version}/${attempts}`, {
            code: "request-refused",
            message: reason,
          }),
        ]
      : [],
  };
}

function postponed(record: RotationRecord, debt: Debt, attempts: number, notBefore: number): RotationRecord {
  const debts = record.debts.map((other) => (other === debt ? { ...debt, attempts, notBefore } : other));
  return { ...record, debts };
}

/** How often users are looked for while something waits for them. */
export function pollMs(policy: { readonly cacheTtlMs: number }): number {
  return Math.max(200, policy.cacheTtlMs / 2);
}
