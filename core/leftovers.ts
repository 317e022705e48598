import { currentOf, isAlike, isOutdated, liveCandidate, ownMarks, wasCut } from "./evidence.ts";
import type { Examination, TriedVersion } from "./examine.ts";
import type { RotationRecord, VersionMark } from "./record.ts";
import type { Mark } from "./rotator.ts";
import { isSameLogin } from "./same-login.ts";
import { isCompromised, owe, rotationOf, type Surroundings } from "./transition.ts";

/** Versions that the target should refuse and does not, and that nobody owes or waits for. */
export function revivedIn(seen: Examination): readonly TriedVersion[] {
  if (isOutdated(seen)) return [];
  const expected = expectedIn(seen);
  // What is owed spares only itself: its debt may be of a name by which nothing can be shut.
  const owed = new Set((seen.record?.debts ?? []).map(({ fingerprint }) => fingerprint));
  const current = currentOf(seen);
  const spared = seen.tried.filter(
    (one) => one === current || (expected.has(one.fingerprint) && !owed.has(one.fingerprint)),
  );
  return seen.tried.filter(
    (one) =>
      one.verdict === "accepted" &&
      one.stage !== "pending" &&
      !expected.has(one.fingerprint) &&
      !spared.some((other) => isAlike(one, other)),
  );
}

/**
 * Logins that the target lets in with a value that nobody can read any more, or that nobody knows. Of a cutover type there is one login, and the next set is
 * what refuses its value.
 */
export function strayMarks(seen: Examination): readonly Mark[] {
  if (seen.overlap === "cutover" || seen.unasked !== undefined) return [];
  const current = currentOf(seen);
  const own = ownMarks(seen);
  // A stray login is shut: it must be clear that it is not the one that lets current in, whatever its mark says.
  const isClear = own.some(({ fingerprint }) => fingerprint === current?.fingerprint);
  if (current !== undefined && current.verdict !== "refused" && !isClear) return [];
  const expected = expectedIn(seen);
  const works = new Set(seen.tried.flatMap((one) => (one.verdict === "refused" ? [] : [one.fingerprint])));
  return own.filter(
    ({ accepts, fingerprint }) => accepts && !expected.has(fingerprint) && !works.has(fingerprint),
  );
}

/** By the record, the values that may be accepted, or are owed already. */
function expectedIn(seen: Examination): ReadonlySet<string | undefined> {
  const { record } = seen;
  const rotation = record && rotationOf(record.state);
  return new Set([
    record?.current?.fingerprint,
    rotation?.previous?.fingerprint,
    rotation?.pending?.fingerprint,
    rotation?.restores?.fingerprint,
    currentOf(seen)?.fingerprint,
    ...(record?.debts ?? []).map(({ fingerprint }) => fingerprint),
  ]);
}

/** The newest older version that works, where there is no journal to believe: it gets its grace again. */
export function previousOf(seen: Examination): TriedVersion | undefined {
  if (!isOutdated(seen)) return undefined;
  const current = currentOf(seen);
  return seen.tried.find(
    (one) =>
      isOlder(one) &&
      one.verdict === "accepted" &&
      !wasCut(seen, one) &&
      !(current !== undefined && isAlike(one, current)),
  );
}

/**
 * Owes what the target accepts and nobody should be using, and candidates that no rotation knows. Where a new rotation begins, also what the one
 * before it leaves; and nothing is cut before readers have had the time to read what comes.
 */
export function oweLeftovers(
  seen: Examination,
  record: RotationRecord,
  isReplacing: boolean,
  { now, policy }: Surroundings,
): RotationRecord {
  const current = currentOf(seen);
  const spared = isReplacing ? now + Math.max(policy.graceAtLeastMs, policy.cacheTtlMs) : now;
  const kept = [current, isReplacing ? liveCandidate(seen) : undefined].filter((one) => one !== undefined);
  const pending = seen.tried.filter(({ stage }) => stage === "pending");
  const foreign = pending.filter((one) => isOutdated(seen) || one.version !== rotationOf(record.state)?.id);
  const left = isReplacing ? leftBehind(seen) : [];
  const strays = strayMarks(seen).map(({ rotationId, fingerprint }) => ({
    version: rotationId,
    fingerprint,
  }));
  const isForeign = ({ version }: VersionMark) => pending.some((one) => one.version === version);
  return [...foreign, ...revivedIn(seen), ...older(seen), ...left, ...strays]
    .filter((mark) => !kept.some((one) => isSameLogin(record, one, mark)))
    .reduce((owing, { version, fingerprint }) => {
      const mark = { version, fingerprint };
      const unpublished = isForeign(mark) ? "foreign" : "retired";
      const leaked = isCompromised(owing, mark);
      const reason = leaked ? "leaked" : unpublished;
      return owe(owing, mark, { reason, cutFirst: false, notBefore: leaked ? now : spared }, now);
    }, record);
}

/** What the rotation that is given up, and the grace that ends with it, leave alive. */
function leftBehind(seen: Examination): readonly VersionMark[] {
  const previous = previousOf(seen);
  if (previous !== undefined) return [previous];
  const rotation = seen.record && !isOutdated(seen) ? rotationOf(seen.record.state) : undefined;
  return [rotation?.previous, rotation?.pending, rotation?.restores].filter((mark) => mark !== undefined);
}

/** Without a journal to believe, every older version that is not proven refused is owed, but for the one that gets its grace. */
function older(seen: Examination): readonly TriedVersion[] {
  if (!isOutdated(seen)) return [];
  const previous = previousOf(seen);
  return seen.tried.filter((one) => isOlder(one) && one.verdict !== "refused" && one !== previous);
}

function isOlder({ stage }: TriedVersion): boolean {
  return stage !== "pending" && stage !== "current";
}
