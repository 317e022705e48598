import { errorCodes, KeyturnError } from "../core/errors.ts";
import type { ManagedSecret, Policy } from "../core/ports.ts";
import type { Debt, RotationRecord } from "../core/record.ts";
import { rotationOf } from "../core/transition.ts";
import type { Condition } from "./notice.ts";

/** A leak should be refused within minutes; what was replaced in peace may take its time. */
const leakOverdueMs = 5 * 60_000;
const debtOverdueMs = 60 * 60_000;

/** What is wrong with a secret by its record: the journal is the truth, however many events were lost. */
export function conditionsOf(
  record: RotationRecord,
  { tenant, policy }: Pick<ManagedSecret, "tenant" | "policy">,
  now: number,
): readonly Condition[] {
  const found = [
    ...halted(record),
    ...record.debts.filter((debt) => isOverdue(debt, policy, now)).map((debt) => unpaid(record, debt)),
    ...record.compromised.filter((leak) => isOpenLeak(record, leak)).map((leak) => leaked(record, leak)),
  ];
  return found.map((condition) => ({ ...condition, tenant }));
}

function halted({ ref, state }: RotationRecord): Condition[] {
  if (state.phase !== "halted") return [];
  const { from, code, reason, at } = state;
  const key = `${ref}/halted`;
  const takesBack = from === "create" || from === "set" || from === "test";
  return [
    {
      kind: "halted",
      key,
      id: `${key}/${at}`,
      since: at,
      secret: ref,
      version: rotationOf(state)?.id,
      severity: "critical",
      summary: `the rotation of ${ref} is halted`,
      detail: `In ${from}: ${code}: ${reason}`,
      remedy: `${remedyOf(code)} Nothing more is done until a person has looked.`,
      commands: [
        `keyturn status ${ref}`,
        `keyturn resume ${ref}`,
        ...(takesBack ? [`keyturn cancel ${ref} --insist`] : []),
      ],
    },
  ];
}

/** Whether an old credential should have been refused by now. */
function isOverdue({ attempts, since, reason }: Debt, policy: Policy, now: number): boolean {
  const overdueMs = reason === "leaked" ? leakOverdueMs : debtOverdueMs;
  return attempts >= policy.attemptsMax || now - since > overdueMs + policy.cacheTtlMs;
}

function unpaid({ ref }: RotationRecord, { version, reason, since, attempts }: Debt): Condition {
  const key = `${ref}/debt/${version}`;
  return {
    kind: "debt",
    key,
    id: `${key}/${since}`,
    since,
    secret: ref,
    version,
    severity: reason === "leaked" ? "critical" : "error",
    summary: `an old credential of ${ref} is not proven refused`,
    detail: `Version ${version} (${reason}) should be refused since ${instant(since)}; tries so far: ${attempts}.`,
    remedy:
      "Look at the target: it is out of reach, accepts what it should refuse, or someone still uses it. It is tried again by itself.",
    commands: [`keyturn status ${ref}`, `keyturn retire ${ref} --wait`],
  };
}

type Leak = RotationRecord["compromised"][number];

/** A leaked version that the target may still accept. */
function isOpenLeak(record: RotationRecord, { version, fingerprint, refusedAt }: Leak): boolean {
  if (refusedAt !== undefined) return false;
  const rotation = rotationOf(record.state);
  const marks = [record.current, rotation?.pending, rotation?.previous, ...record.debts];
  return marks.some(
    (mark) => mark !== undefined && (mark.version === version || mark.fingerprint === fingerprint),
  );
}

function leaked({ ref }: RotationRecord, { version, reportedBy, at }: Leak): Condition {
  const key = `${ref}/revoked/${version}`;
  return {
    kind: "revoked",
    key,
    id: `${key}/${at}`,
    since: at,
    secret: ref,
    version,
    severity: "critical",
    summary: `a credential of ${ref} has leaked and is being cut off`,
    detail: `Version ${version} was reported by ${reportedBy} at ${instant(at)}.`,
    remedy: "Follow it until the target refuses it, and find out where it leaked.",
    commands: [`keyturn status ${ref}`],
  };
}

/** The condition of a leak that may be over already: an emergency takes less time than its event. */
export function leakOf(record: RotationRecord, version: string, tenant: string | undefined) {
  const leak = record.compromised.find((entry) => entry.version === version);
  return leak && { ...leaked(record, leak), tenant };
}

/**
 * Why a condition is over, in a sentence; undefined while it lasts. A debt that was told of is over when it is paid, not when its
 * tries begin anew.
 */
export function endOf(condition: Condition, record: RotationRecord | undefined): string | undefined {
  const { secret, kind, version, since } = condition;
  if (record === undefined) return `${secret} is no longer managed here.`;
  switch (kind) {
    case "halted":
      return record.state.phase === "halted" && record.state.at === since
        ? undefined
        : `A person has looked: ${secret} goes on, in ${record.state.phase}.`;
    case "debt":
      return record.debts.some((debt) => debt.version === version)
        ? undefined
        : `Version ${version} is no longer owed: it was proven refused, or is wanted again.`;
    case "revoked":
      return leakEnd(record, version);
    case "undone":
      return record.current !== undefined && record.current.since > since
        ? `Version ${record.current.version} is current.`
        : undefined;
    case "delayed":
    case "laggards":
      return record.state.phase === "idle" && record.debts.length === 0
        ? "The rotation has come to its end."
        : undefined;
  }
}

function leakEnd(record: RotationRecord, version: string | undefined): string | undefined {
  const leak = record.compromised.find((entry) => entry.version === version);
  if (leak === undefined) return `Version ${version} is no longer held to be leaked.`;
  if (isOpenLeak(record, leak)) return undefined;
  if (leak.refusedAt === undefined) return `Version ${version} is in use nowhere.`;
  const seconds = ((leak.refusedAt - leak.at) / 1_000).toFixed(1);
  const survives = leak.survives ?? [];
  const left = survives.length === 0 ? "" : ` What survives: ${survives.join(", ")}.`;
  return `The target refuses version ${version}, ${seconds} s after it was reported; sessions ended: ${leak.sessionsEnded ?? 0}.${left}`;
}

function remedyOf(code: string): string {
  const known = errorCodes.find((other) => other === code);
  return known === undefined ? "" : new KeyturnError(known, "").remedy;
}

function instant(ms: number): string {
  return new Date(ms).toISOString();
}
