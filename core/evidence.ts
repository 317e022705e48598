import type { Examination, TriedVersion } from "./examine.ts";
import type { Compromised, RotationRecord } from "./record.ts";
import type { Mark } from "./rotator.ts";
import { isCompromised } from "./transition.ts";

/** The marks of this secret that this installation has made. */
export function ownMarks({ marks, ref, installation }: Examination): readonly Mark[] {
  return (marks ?? []).filter((mark) => mark.ref === ref && mark.installation === installation);
}

/** The version that agents read, as it was tried. */
export function currentOf({ tried }: Examination): TriedVersion | undefined {
  return tried.find(({ stage }) => stage === "current");
}

/** Whether two versions hold one login: a rollback gives its value a new version, and an import may put it in other words. */
export function isAlike(one: TriedVersion, other: TriedVersion): boolean {
  return one.fingerprint === other.fingerprint || one.login === other.login;
}

/** What the audit says has leaked, by value too where the value can still be read: a rollback gives it a new version. */
export function toldCompromised({ chain, tried }: Examination): readonly Compromised[] {
  return chain.compromised.map((entry) => {
    const known = tried.find(({ version }) => version === entry.version);
    return known === undefined ? entry : { ...entry, fingerprint: known.fingerprint };
  });
}

/** What has leaked, or was shut at the target on purpose without the journal's knowledge, must never be let in again. */
export function wasCut(seen: Examination, version: TriedVersion): boolean {
  const { record } = seen;
  const alike = [version, ...seen.tried.filter((other) => isAlike(other, version))];
  const known = record !== undefined && alike.some((one) => isCompromised(record, one));
  const told = toldCompromised(seen).some((entry) => alike.some((one) => entry.version === one.version));
  const shut = ownMarks(seen).some(
    ({ verb, fingerprint }) => verb === "retire" && alike.some((one) => fingerprint === one.fingerprint),
  );
  return known || told || shut;
}

/** A candidate that the target lets in, and that nobody wants to be refused. */
export function liveCandidate(seen: Examination): TriedVersion | undefined {
  const owed = new Set(isOutdated(seen) ? [] : seen.record?.debts.map(({ fingerprint }) => fingerprint));
  return seen.tried.find(
    (one) =>
      one.stage === "pending" &&
      one.verdict === "accepted" &&
      !owed.has(one.fingerprint) &&
      !wasCut(seen, one),
  );
}

/** The store lacks what is current by the journal, or has it as a candidate still: it is older than the journal. */
export function isStoreBehind({ record, versions }: Examination): boolean {
  const expected = record?.current?.version;
  const found = versions.find(({ version }) => version === expected);
  return expected !== undefined && (found === undefined || found.stage === "pending");
}

/** What the record says of the course of things is not to be believed: there is none, or it is an old one. */
export function isOutdated(seen: Examination): boolean {
  return seen.record === undefined || behindBy(seen, seen.record) !== undefined;
}

/** The journal is saved before anything is told to the target or the audit: whatever knows more than it does is newer. */
export function behindBy(seen: Examination, record: RotationRecord): string | undefined {
  const { chain } = seen;
  const highest = Math.max(0, ...ownMarks(seen).map((mark) => mark.seen));
  if (highest > record.epoch) {
    return `the target has seen epoch ${highest}, and the journal is at ${record.epoch}`;
  }
  if (chain.isForked) {
    return `the audit has ${chain.end.sequence} entries, and where the journal wants to write there is another one`;
  }
  return chain.end.sequence > record.audit.sequence
    ? `the audit has ${chain.end.sequence} entries, and the journal knows of ${record.audit.sequence}`
    : undefined;
}

/** What keeps any rotation from beginning; but an epoch that is behind, which a repair puts right itself. */
export function unready({ findings }: Examination): Examination["findings"] {
  return findings.filter(({ ok, code }) => !ok && code !== "superseded");
}

/**
 * Whether nothing but a rotation helps current, and as long as something is not ready it would be refused as any would be: a person mends
 * that first. What works and is not the one it should be is no emergency; one that has leaked is, and so is none.
 */
export function waitsForPerson(seen: Examination): boolean {
  const current = currentOf(seen);
  if (current === undefined || unready(seen).length === 0) return false;
  if (liveCandidate(seen) !== undefined || wasCut(seen, current)) return false;
  return current.verdict === (isStoreBehind(seen) ? "accepted" : "refused");
}
