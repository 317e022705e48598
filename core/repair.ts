import { sealAgain } from "./audit.ts";
import { commit } from "./commit.ts";
import {
  currentOf,
  diagnose,
  isOutdated,
  liveCandidate,
  needsRebuild,
  ownMarks,
  revivedIn,
  wasCut,
} from "./diagnose.ts";
import type { Examination, TriedVersion } from "./examine.ts";
import { fingerprintFields } from "./fingerprint.ts";
import { newId } from "./identifier.ts";
import type { Ports } from "./ports.ts";
import { managedSecret } from "./reconcile.ts";
import { newRecord, type Rotation, type RotationRecord, type VersionMark } from "./record.ts";
import {
  andThen,
  begin,
  isCompromised,
  type Note,
  owe,
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

/** A journal that was lost took the fingerprints with it by which a leak is found. */
async function rememberAll({ ref, tried }: Examination, ports: Ports): Promise<void> {
  const rotator = await ports.rotators.load(managedSecret(ports, ref).type);
  for (const { version } of tried) {
    const stored = await ports.store.read(ref, { version });
    if (stored === undefined) continue;
    const fields = fingerprintFields(rotator.secretFields(stored.value), ports.fingerprinter);
    await ports.journal.remember(ref, version, fields);
  }
}

/** Pure: what the record should say, at an epoch above every one that was ever seen. */
export function rebuilt(seen: Examination, by: string, around: Surroundings): Transition {
  const known = seen.record ?? newRecord(seen.ref);
  const seenEpochs = [known.epoch, seen.chain.epoch, ...ownMarks(seen).map((mark) => mark.seen)];
  const current = currentOf(seen);
  const told = seen.chain.compromised.filter(({ version }) => !known.compromised.some(isVersion(version)));
  const base: RotationRecord = {
    ...known,
    ...auditOf(seen, known),
    epoch: Math.max(...seenEpochs) + 1,
    compromised: [...known.compromised, ...told],
    current: current && { ...mark(current), since: sinceOf(known, current) },
    scheduleFailures: 0,
    scheduleNotBefore: 0,
  };
  const ailments = diagnose(seen, around.policy.attemptsMax).filter(({ fix }) => fix !== undefined);
  const detail = ailments.map(({ ailment, what }) => `${ailment}: ${what}`).join("; ");
  const note: Note = { action: "repaired", detail, actor: by };
  const owing = owesLeftovers(seen, base, around);
  return andThen(stay(owing, note), (after) => resumeCourse(seen, after, by, around));
}

/**
 * A journal that knows less than the audit goes on behind it: what waits in its outbox was written long ago. A chain whose end was cut
 * off goes on behind what is left of it, with what was not written yet.
 */
function auditOf({ chain }: Examination, { audit, outbox }: RotationRecord): Partial<RotationRecord> {
  const { end, fault } = chain;
  if (end.sequence > audit.sequence) return { audit: end, outbox: { ...outbox, entries: [] } };
  if (fault?.kind !== "cut-off") return {};
  const entries = sealAgain(outbox.entries, end);
  const { sequence, hash } = entries.at(-1) ?? end;
  return { audit: { sequence, hash }, outbox: { ...outbox, entries } };
}

function sinceOf({ current }: RotationRecord, { version, createdAt }: TriedVersion): number {
  return current?.version === version ? current.since : createdAt;
}

/** What the target accepts and nobody should be using, and candidates that no rotation knows. */
function owesLeftovers(seen: Examination, record: RotationRecord, { now }: Surroundings): RotationRecord {
  const current = currentOf(seen);
  const publishes = current?.verdict === "refused" ? liveCandidate(seen) : undefined;
  const isUnknown = ({ version }: TriedVersion) => version !== rotationOf(record.state)?.id;
  const pending = seen.tried.filter((one) => one.stage === "pending" && one !== publishes);
  const foreign = pending.filter((one) => isOutdated(seen) || isUnknown(one));
  return [...foreign, ...revivedIn(seen), ...older(seen)]
    .filter((one) => one.fingerprint !== current?.fingerprint)
    .reduce((owing, one) => {
      const unpublished = one.stage === "pending" ? "foreign" : "retired";
      const reason = isCompromised(owing, one) ? "leaked" : unpublished;
      return owe(owing, mark(one), { reason, cutFirst: false, notBefore: now }, now);
    }, record);
}

/** Without a journal to believe, every older version that is not proven refused is owed; the newest of them gets its grace again. */
function older(seen: Examination): readonly TriedVersion[] {
  if (!isOutdated(seen)) return [];
  const previous = previousOf(seen);
  return seen.tried.filter((one) => isOlder(one) && one.verdict !== "refused" && one !== previous);
}

function previousOf(seen: Examination): TriedVersion | undefined {
  if (!isOutdated(seen)) return undefined;
  return seen.tried.find((one) => isOlder(one) && one.verdict === "accepted" && !wasCut(seen, one));
}

function isOlder({ stage }: TriedVersion): boolean {
  return stage !== "pending" && stage !== "current";
}

function resumeCourse(
  seen: Examination,
  record: RotationRecord,
  by: string,
  around: Surroundings,
): Transition {
  const current = currentOf(seen);
  const expected = seen.record?.current?.version;
  const isLost = expected !== undefined && !seen.versions.some(isVersion(expected));
  if (current === undefined || isLost) return replace(record, current?.verdict !== "accepted", by, around);
  if (current.verdict !== "refused") return settleDown(seen, record, current, by, around);
  const candidate = liveCandidate(seen);
  if (candidate !== undefined) return publish(record, candidate, by, around);
  if (wasCut(seen, current)) return replace(compromise(record, current, by, around), true, by, around);
  const how = { kind: "rollback", urgent: false, requestedBy: by, restores: mark(current) } as const;
  return begin(record, how, around);
}

function isVersion(wanted: string) {
  return ({ version }: { readonly version: string }) => version === wanted;
}

/** Current works. What an outdated record says of a rotation under way is let go of, and an older version that works gets its grace. */
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
  return stay({ ...record, state: { phase: "grace", rotation, since: now, confirmAt, ...tries } });
}

/** The candidate is what the target accepts: it is tested once more, and becomes current. */
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
  return stay({ ...record, state: { phase: "test", rotation, attempts: 0, notBefore: now } });
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
