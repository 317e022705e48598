import { sealAgain } from "./audit.ts";
import { commit } from "./commit.ts";
import { diagnose, needsRebuild } from "./diagnose.ts";
import {
  currentOf,
  isAlike,
  isOutdated,
  isStoreBehind,
  liveCandidate,
  ownMarks,
  toldCompromised,
  waitsForPerson,
  wasCut,
} from "./evidence.ts";
import type { Examination, TriedVersion } from "./examine.ts";
import { fingerprintFields } from "./fingerprint.ts";
import { newId } from "./identifier.ts";
import { oweLeftovers, previousOf } from "./leftovers.ts";
import type { Ports } from "./ports.ts";
import { managedSecret } from "./reconcile.ts";
import { newRecord, type Rotation, type RotationRecord, type VersionMark } from "./record.ts";
import { alsoNamed, isSameLogin } from "./same-login.ts";
import {
  andThen,
  begin,
  halt,
  isCompromised,
  type Note,
  rotationOf,
  type Surroundings,
  stay,
  type Transition,
} from "./transition.ts";

/**
 * Puts the record right by what was seen, in one compare-and-set; `reconcile` does the rest. Gives the record, or undefined where
 * nothing was to be done. Throws `conflict` when somebody moved it since it was examined.
 */
export async function repair(
  seen: Examination,
  ports: Ports,
  by: string,
): Promise<RotationRecord | undefined> {
  const { ref } = seen;
  const { policy } = managedSecret(ports, ref);
  if (!needsRebuild(diagnose(seen, policy.attemptsMax))) return undefined;
  await rememberAll(seen, ports);
  const around: Surroundings = {
    policy,
    overlap: seen.overlap,
    now: ports.clock.now(),
    newId: newId(ports.random),
  };
  const { record, ...told } = rebuilt(seen, by, around);
  const due = { ...told, record: { ...record, dueAt: around.now, lease: undefined } };
  return (await commit(ports, seen.revision, due, by)).record;
}

/** Remembers what can be read: a journal that was lost took the fingerprints with it by which a leak is found, and one that was damaged some of them. */
export async function rememberAll({ ref, tried }: Examination, ports: Ports): Promise<void> {
  const rotator = await ports.rotators.load(managedSecret(ports, ref).type);
  for (const { version } of tried) {
    const stored = await ports.store.read(ref, { version });
    if (stored === undefined) continue;
    const fields = fingerprintFields(rotator.findableFields(stored.value), ports.fingerprinter);
    await ports.journal.remember(ref, version, fields);
  }
}

/** Pure: what the record should say, at an epoch above every one that was ever seen. */
export function rebuilt(seen: Examination, by: string, around: Surroundings): Transition {
  const known = seen.record ?? newRecord(seen.ref);
  const seenEpochs = [known.epoch, seen.chain.epoch, ...ownMarks(seen).map((mark) => mark.seen)];
  const current = currentOf(seen);
  const waits = waitsForPerson(seen);
  const told = toldCompromised(seen).filter(({ version }) => !known.compromised.some(isVersion(version)));
  const isLeaked = (fingerprint: string) =>
    current !== undefined && wasCut(seen, { ...current, fingerprint });
  const logins = withLoginsOf(seen, known);
  const isCurrents = (debt: VersionMark) => current !== undefined && isSameLogin(logins, debt, mark(current));
  const base: RotationRecord = {
    ...logins,
    ...auditOf(seen, known),
    epoch: Math.max(...seenEpochs) + 1,
    compromised: [...known.compromised, ...told],
    ...(waits && !isOutdated(seen)
      ? {}
      : {
          debts: known.debts.filter((debt) => !isCurrents(debt) || isLeaked(debt.fingerprint)),
          current: current && { ...mark(current), since: sinceOf(known, current) },
        }),
    scheduleFailures: 0,
    scheduleNotBefore: 0,
  };
  const ailments = diagnose(seen, around.policy.attemptsMax).filter(({ fix }) => fix !== undefined);
  const detail = ailments.map(({ ailment, what }) => `${ailment}: ${what}`).join("; ");
  const note: Note = { action: "repaired", detail, actor: by };
  const isDead = current === undefined || current.verdict === "refused";
  const isReplacing = !waits && (isDead || isStoreBehind(seen));
  const owing = oweLeftovers(seen, base, isReplacing, around);
  return andThen(stay(owing, note), (after) => resumeCourse(seen, after, by, around));
}

/**
 * A journal that knows less than the audit, or something else, goes on behind it, and so does one whose audit lacks its end: with what
 * was not written yet.
 */
function auditOf({ chain }: Examination, { audit, outbox }: RotationRecord): Partial<RotationRecord> {
  const { end, fault, isForked, unwritten } = chain;
  if (end.sequence <= audit.sequence && !isForked && fault?.kind !== "cut-off") return {};
  const entries = sealAgain(unwritten, end);
  const { sequence, hash } = entries.at(-1) ?? end;
  return { audit: { sequence, hash }, outbox: { ...outbox, entries } };
}

/** What the store's versions tell by themselves of which of them hold one login, and what lets somebody in again. */
function withLoginsOf({ tried }: Examination, record: RotationRecord): RotationRecord {
  const works = tried.flatMap(({ verdict, version }) => (verdict === "accepted" ? [version] : []));
  const refused = record.refused.filter((version) => !works.includes(version));
  return tried.reduce<RotationRecord>(
    (named, one) =>
      alsoNamed(
        named,
        one.version,
        ...tried.filter((other) => isAlike(one, other)).map(({ version }) => version),
      ),
    { ...record, refused },
  );
}

function sinceOf({ current }: RotationRecord, { version, createdAt }: TriedVersion): number {
  return current?.version === version ? current.since : createdAt;
}

function resumeCourse(
  seen: Examination,
  record: RotationRecord,
  by: string,
  around: Surroundings,
): Transition {
  const current = currentOf(seen);
  const candidate = liveCandidate(seen);
  if (current !== undefined && waitsForPerson(seen)) return settleDown(seen, record, current, by, around);
  if (candidate !== undefined && isStoreBehind(seen)) return publish(record, candidate, by, around);
  if (current === undefined || isStoreBehind(seen)) {
    return replace(record, current?.verdict !== "accepted", by, around);
  }
  if (current.verdict !== "refused") return settleDown(seen, record, current, by, around);
  if (candidate !== undefined) return publish(record, candidate, by, around);
  if (wasCut(seen, current)) return replace(compromise(record, current, by, around), true, by, around);
  const how = { kind: "rollback", urgent: false, requestedBy: by, restores: mark(current) } as const;
  return begin(record, how, around);
}

function isVersion(wanted: string) {
  return ({ version }: { readonly version: string }) => version === wanted;
}

/** Current works, or waits for a person. What an outdated record says of a rotation under way is let go of, and an older version that works gets its grace. */
function settleDown(
  seen: Examination,
  record: RotationRecord,
  current: TriedVersion,
  by: string,
  { now, policy }: Surroundings,
): Transition {
  if (!isOutdated(seen)) return stay(record);
  const previous = previousOf(seen);
  if (previous === undefined) return stay({ ...record, state: { phase: "idle" } });
  const rotation: Rotation = {
    id: current.version,
    kind: "rotate",
    urgent: false,
    requestedBy: by,
    startedAt: now,
    pending: mark(current),
    previous: mark(previous),
  };
  const tries = { attempts: 0, notBefore: now, refusals: 0, adopted: false, laggardsNamed: false };
  const confirmAt = now + policy.confirmEveryMs;
  const grace = { ...record, state: { phase: "grace", rotation, since: now, confirmAt, ...tries } } as const;
  if (current.verdict !== "refused") return stay(grace);
  // Its grace must not end by itself: what is previous is all that works.
  const message = "the target refuses current, and no rotation can begin that would mend it";
  return halt(grace, { code: "current-broken", message }, now);
}

/** The candidate is what the target accepts: it is tested once more, and becomes current, which an old record may have owed. */
function publish(
  record: RotationRecord,
  candidate: TriedVersion,
  by: string,
  { now }: Surroundings,
): Transition {
  const known = rotationOf(record.state);
  const begun = { kind: "rotate", urgent: false, requestedBy: by, startedAt: now } as const;
  const rotation: Rotation = {
    ...(known?.id === candidate.version ? known : { ...begun, id: candidate.version }),
    pending: mark(candidate),
    previous: record.current && mark(record.current),
  };
  const debts = record.debts.filter((debt) => !isSameLogin(record, debt, candidate));
  return stay({ ...record, debts, state: { phase: "test", rotation, attempts: 0, notBefore: now } });
}

/** What is there cannot be used, or does not belong there: a successor; without a grace where current is dead. */
function replace(record: RotationRecord, urgent: boolean, by: string, around: Surroundings): Transition {
  return begin({ ...record, urgentNotBefore: 0 }, { kind: "rotate", urgent, requestedBy: by }, around);
}

function compromise(
  record: RotationRecord,
  current: TriedVersion,
  by: string,
  { now }: Surroundings,
): RotationRecord {
  if (isCompromised(record, current)) return record;
  const entry = { ...mark(current), reportedBy: by, at: now, refusedAt: now };
  return { ...record, compromised: [...record.compromised, entry] };
}

function mark({ version, fingerprint }: VersionMark): VersionMark {
  return { version, fingerprint };
}
