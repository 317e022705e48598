import type { Ailment } from "./ailment.ts";
import type { ChainFault } from "./audit.ts";
import { KeyturnError } from "./errors.ts";
import {
  behindBy,
  currentOf,
  isAlike,
  isOutdated,
  isStoreBehind,
  liveCandidate,
  ownMarks,
  unready,
  waitsForPerson,
  wasCut,
} from "./evidence.ts";
import type { Examination, TriedVersion } from "./examine.ts";
import { revivedIn, strayMarks } from "./leftovers.ts";
import type { RotationRecord, VersionMark } from "./record.ts";
import type { Mark } from "./rotator.ts";
import { isCompromised, rotationOf } from "./transition.ts";

export interface Diagnosis {
  readonly ailment: Ailment;
  /** What is wrong, and how it may have come about. */
  readonly what: string;
  /** What `--fix` does about it; undefined: a person has to do what `advice` says. */
  readonly fix: string | undefined;
  readonly advice: string;
}

/** Says what is wrong, worst first. Pure: all that it knows is in the examination. Nothing wrong: nothing said. */
export function diagnose(seen: Examination, attemptsMax: number): readonly Diagnosis[] {
  const found = [
    ...journal(seen),
    ...fences(seen),
    ...current(seen, attemptsMax),
    ...leftovers(seen),
    ...course(seen, attemptsMax),
    ...surroundings(seen),
  ];
  if (seen.unasked === undefined) return found;
  // What the target would have said is missing: a repair could take what works for what does not.
  const advice = "First let the target be asked; then run it with --fix.";
  return found.map((one) => (one.fix === undefined ? one : { ...one, fix: undefined, advice }));
}

/** Whether the record has to be put right by what the store, the target and the audit say. */
export function needsRebuild(diagnoses: readonly Diagnosis[]): boolean {
  return diagnoses.some(({ fix }) => fix !== undefined);
}

const rebuilds = "puts the record right by what the store, the target and the audit say, at a higher epoch";

function journal(seen: Examination): readonly Diagnosis[] {
  const { recordFault, record, versions, chain } = seen;
  if (recordFault !== undefined) {
    const remedy =
      "Move the damaged journal aside, and let --fix make it anew from the store and the target.";
    const what = `the journal does not give its record: ${recordFault.message}`;
    const advice = recordFault.code === "data-broken" ? remedy : recordFault.remedy;
    return [{ ailment: "record-unreadable", what, fix: undefined, advice }];
  }
  const known = chain.end.sequence > 0 || ownMarks(seen).length > 0;
  if (record !== undefined || versions.length === 0 || !known) return [];
  const what = "the journal knows nothing of it, and yet it was rotated before: was the journal lost?";
  return [{ ailment: "journal-lost", what, fix: rebuilds, advice: "Run it with --fix." }];
}

function fences(seen: Examination): readonly Diagnosis[] {
  const { marks = [], ref, installation, record } = seen;
  const found: Diagnosis[] = [];
  for (const mark of marks) {
    if (mark.ref === ref && mark.installation === installation) continue;
    const what = `${mark.login} is marked by secret ${mark.ref} of installation ${mark.installation}; this is ${installation}`;
    const { login, accepts } = mark;
    const cleared = accepts ? `take the mark of Keyturn off ${login}` : `remove ${login}, which is shut,`;
    const advice = `Two installations claim one login. Take the secret out of the manifest of the one that is not to have it, or give each a login of its own. To hand it over, ${cleared} at the target, and \`keyturn import ${ref}\` in the one that is to have it.`;
    found.push({ ailment: "other-installation", what, fix: undefined, advice });
  }
  const behind = record === undefined ? undefined : behindBy(seen, record);
  if (behind !== undefined) {
    const what = `${behind}: was the journal restored from a backup?`;
    found.push({ ailment: "epoch-behind", what, fix: rebuilds, advice: "Run it with --fix." });
  }
  return found;
}

function current(seen: Examination, attemptsMax: number): readonly Diagnosis[] {
  const { record, versions } = seen;
  const found = currentOf(seen);
  const expected = record?.current?.version;
  if (isStoreBehind(seen)) {
    const what = `the store does not have ${expected} as current, as the journal says: was the store restored from a backup?`;
    if (waitsForPerson(seen)) {
      const advice = "Mend first what is not ready; then run it with --fix.";
      return [{ ailment: "store-behind", what, fix: undefined, advice }];
    }
    const fix =
      liveCandidate(seen) === undefined
        ? "makes a new one at once"
        : "publishes the candidate, which the target accepts";
    return [{ ailment: "store-behind", what, fix, advice: "Run it with --fix." }];
  }
  if (found === undefined) {
    const isStored = versions.some(({ stage }) => stage === "current");
    if (isStored || record?.current === undefined) return [];
    const what = "the store has no current version any more";
    return [
      { ailment: "current-missing", what, fix: "makes a new one at once", advice: "Run it with --fix." },
    ];
  }
  if (found.verdict === "accepted" || isExpected(seen, found, attemptsMax)) return [];
  if (found.verdict === "unknown") {
    const what = "the target gives no clear answer to the current credential";
    const advice = "Look at the target; then ask again.";
    return seen.unasked === undefined ? [{ ailment: "current-unclear", what, fix: undefined, advice }] : [];
  }
  return [refusedCurrent(seen, found)];
}

/**
 * Whether what is under way explains that the target refuses current, and goes on by itself: a successor of what has leaked, or a set of a
 * cutover type, or its undo. Without its candidate in the store it does not.
 */
function isExpected(seen: Examination, current: TriedVersion, attemptsMax: number): boolean {
  const { record } = seen;
  if (record === undefined || isOutdated(seen) || record.state.phase === "halted") return false;
  if (isCompromised(record, current)) return true;
  const { state } = record;
  const isChanging =
    state.phase === "set" || state.phase === "test" || state.phase === "finish" || state.phase === "undo";
  const isLost = (state.phase === "set" || state.phase === "test") && !isStored(seen, state.rotation.id);
  return seen.overlap === "cutover" && isChanging && !isLost && state.attempts < attemptsMax;
}

function isStored({ versions }: Examination, wanted: string): boolean {
  return versions.some(({ version }) => version === wanted);
}

function refusedCurrent(seen: Examination, found: TriedVersion): Diagnosis {
  const cut = wasCut(seen, found);
  const pending = liveCandidate(seen);
  const what = `the target refuses current: ${causeOf(seen, found)}`;
  const theirs =
    "If nobody of yours did this, somebody else has access to the target: revoke it instead. Otherwise";
  if (waitsForPerson(seen)) {
    const advice = `${theirs} mend first what is not ready; then run it with --fix.`;
    return { ailment: "current-refused", what, fix: undefined, advice };
  }
  const fix = cut
    ? "makes a successor at once; what was cut on purpose stays cut"
    : pending === undefined
      ? "makes the target accept the same value again"
      : "publishes the candidate, which the target accepts";
  const advice = cut ? "Run it with --fix." : `${theirs} run it with --fix.`;
  return { ailment: "current-refused", what, fix, advice };
}

function causeOf(seen: Examination, found: TriedVersion): string {
  if (seen.marks === undefined) {
    const isUnknown = seen.unasked !== undefined;
    return isUnknown ? "what became of its login could not be seen" : "it was changed behind Keyturn's back";
  }
  const own = ownMarks(seen);
  const same = own.find(({ fingerprint }) => fingerprint === found.fingerprint);
  if (own.length === 0) return "its login is not there, or bears no mark: was it dropped?";
  if (same === undefined) {
    const candidates = seen.tried.filter(
      ({ stage, verdict }) => stage === "pending" && verdict === "accepted",
    );
    if (own.some((mark) => candidates.some(({ fingerprint }) => mark.fingerprint === fingerprint)))
      return "the login holds the candidate of a rotation that nobody goes on with";
    const leaked = own.some((mark) => mark.accepts && hasLeaked(seen, mark));
    const other = leaked ? "a value that has leaked" : "another value";
    return `the login holds ${other}: was the target restored from a backup, or a replica promoted?`;
  }
  if (same.verb === "retire") return "it was cut off on purpose";
  return same.accepts
    ? "its password was changed behind Keyturn's back"
    : "its login was shut behind Keyturn's back";
}

function hasLeaked({ record }: Examination, { rotationId: version, fingerprint }: Mark): boolean {
  return record !== undefined && isCompromised(record, { version, fingerprint });
}

function leftovers(seen: Examination): readonly Diagnosis[] {
  const { record, tried } = seen;
  const revived: Diagnosis[] = revivedIn(seen).map(({ version }) => ({
    ailment: "revived",
    what: `the target accepts ${version}, which nobody should be using: was the target restored from a backup?`,
    fix: "owes it again, until it is proven refused",
    advice: "Run it with --fix.",
  }));
  for (const stray of strayMarks(seen)) {
    const { login, rotationId } = stray;
    const what = hasLeaked(seen, stray) ? `${rotationId}, which has leaked` : rotationId;
    revived.push({
      ailment: "revived",
      what: `the target lets in ${login} by what was ${what}, and nobody should be using it: was the target or the store restored from a backup, or the login opened by hand?`,
      fix: "owes it again, until it is proven refused",
      advice: "Run it with --fix.",
    });
  }
  const pending = tried.find(({ stage }) => stage === "pending");
  if (pending === undefined || record === undefined || isSeenTo(record, pending)) return revived;
  // The next rotation puts it aside: there is nothing to be refused.
  const isCurrents = tried.some((one) => one.stage === "current" && isAlike(one, pending));
  if (isCurrents) return revived;
  const foreign: Diagnosis = {
    ailment: "foreign-pending",
    what: `${pending.version} is pending in the store, and no rotation of this journal has saved it`,
    fix: "owes it, and takes it away once the target is proven to refuse it",
    advice: "Run it with --fix, or rotate: the next rotation does the same.",
  };
  return [...revived, foreign];
}

/**
 * Whether a rotation has saved it, or will put it aside: what create finds pending it owes, and what is owed goes when it is paid. An import's
 * goes with the next import or rotation, and nothing is owed for what others had made.
 */
function isSeenTo(
  { state, debts, importing = [] }: RotationRecord,
  { version, fingerprint }: VersionMark,
): boolean {
  const isOwed = debts.some((debt) => debt.fingerprint === fingerprint);
  return (
    isOwed || importing.includes(version) || state.phase === "create" || rotationOf(state)?.id === version
  );
}

function course({ ref, record }: Examination, attemptsMax: number): readonly Diagnosis[] {
  if (record === undefined) return [];
  const found: Diagnosis[] = [];
  const { state, paused } = record;
  if (state.phase === "halted") {
    found.push({
      ailment: "halted",
      what: `halted in ${state.from}: ${state.code}: ${state.reason}`,
      fix: undefined,
      advice: `Remove the cause; then \`keyturn resume ${ref}\`, or before it is published \`keyturn cancel --insist ${ref}\`.`,
    });
  }
  if (paused !== undefined) {
    const advice = `\`keyturn resume ${ref}\` when it may go on.`;
    const what = `paused by ${paused.by}: ${paused.reason}`;
    found.push({ ailment: "paused", what, fix: undefined, advice });
  }
  for (const debt of record.debts.filter(({ attempts }) => attempts >= attemptsMax)) {
    found.push({
      ailment: "debt-unpaid",
      what: `${debt.version} should be refused (${debt.reason}), and after ${debt.attempts} tries is not proven so`,
      fix: undefined,
      advice: `Remove what the last failure names (\`keyturn status ${ref}\`); then \`keyturn retire ${ref}\`.`,
    });
  }
  return found;
}

function surroundings(seen: Examination): readonly Diagnosis[] {
  const { chain, unasked } = seen;
  const found: Diagnosis[] = [];
  if (chain.fault !== undefined) found.push(brokenAudit(chain.fault));
  for (const { check, message, code } of unready(seen)) {
    const general = "Correct it at the target or in the manifest.";
    const remedy = code === undefined ? general : new KeyturnError(code, message).remedy;
    const advice = `${remedy} The next rotation is refused until then.`;
    found.push({ ailment: "not-ready", what: `${check}: ${message}`, fix: undefined, advice });
  }
  if (unasked !== undefined) {
    const what = `the target cannot be asked: ${unasked.code}: ${unasked.message}`;
    found.push({ ailment: "unreachable", what, fix: undefined, advice: unasked.remedy });
  }
  return found;
}

/** What is cut off at the end keeps everything that comes from being written: the rest of the chain is sound, and can go on. */
function brokenAudit({ kind, sequence }: ChainFault): Diagnosis {
  const what = `the audit is broken: ${kind} at entry ${sequence}`;
  const advice = "Keep the file as evidence, and restore it from a backup.";
  const goesOn = "goes on behind the last entry that is left, and says there what is missing";
  const fix = kind === "cut-off" ? goesOn : undefined;
  return {
    ailment: "audit-broken",
    what,
    fix,
    advice: fix === undefined ? advice : `${advice} Or run it with --fix.`,
  };
}
