import { type AuditEntry, type ChainFault, verifyChain } from "./audit.ts";
import { asKeyturnError, type KeyturnError } from "./errors.ts";
import { inquire } from "./inquire.ts";
import type { Ports, StoredVersion } from "./ports.ts";
import type { Compromised, RotationRecord, VersionMark } from "./record.ts";
import type { Finding, Mark } from "./rotator.ts";
import type { Secret } from "./secret.ts";
import { contextOf, markOf, protect, type Stand } from "./stand.ts";

export type Verdict = "refused" | "accepted" | "unknown";

/** A version whose value can be read, and what the target says of it. */
export interface TriedVersion extends VersionMark {
  readonly stage: StoredVersion["stage"];
  readonly createdAt: number;
  readonly verdict: Verdict;
  /** The keyed fingerprint of its account and its secret fields: the same of versions that hold one login in other words. */
  readonly login: string;
}

/** Everything that can be seen of one secret without changing anything. */
export interface Examination {
  readonly ref: string;
  readonly installation: string;
  readonly overlap: "both-live" | "cutover";
  readonly record: RotationRecord | undefined;
  /** Why the journal does not give its record. */
  readonly recordFault: KeyturnError | undefined;
  /** The journal's revision of the record; undefined where there is none. */
  readonly revision: number | undefined;
  /** The newest first. */
  readonly versions: readonly StoredVersion[];
  /** Of the versions that can be read; the newest first, so many at the most. */
  readonly tried: readonly TriedVersion[];
  /** Undefined: the type keeps no fence that can be read, or it could not be asked. */
  readonly marks: readonly Mark[] | undefined;
  readonly findings: readonly Finding[];
  /** Why the target or the administering login could not be asked. */
  readonly unasked: KeyturnError | undefined;
  readonly chain: Chain;
}

/** What the audit says: it outlives a journal that was lost. */
export interface Chain {
  readonly end: { readonly sequence: number; readonly hash: string };
  readonly fault: ChainFault | undefined;
  /** What waits in the record's outbox and is not in the log. */
  readonly unwritten: readonly AuditEntry[];
  /** Whether the log has another entry where the record wants to write: the two have parted. */
  readonly isForked: boolean;
  readonly epoch: number;
  /** Whoever was reported as compromised, and when it was seen refused. */
  readonly compromised: readonly Compromised[];
}

/** Old versions that are tried at the target: each costs a login that should fail. */
const triedMax = 8;

/** Looks at the journal, the store, the audit and the target. Reads only; whatever cannot be read is part of the answer. */
export async function examine(ref: string, ports: Ports): Promise<Examination> {
  const loaded = await ports.journal
    .load(ref)
    .then((found) => ({ found, fault: undefined }))
    .catch((thrown: unknown) => ({ found: undefined, fault: asKeyturnError(thrown) }));
  const record = loaded.found?.record;
  const chain = await readChain(ref, ports, record);
  const versions = await ports.store.versions(ref);
  const asked = await inquire(ref, ports, record, (stand) => ask(stand, versions));
  return {
    ref,
    installation: ports.installation,
    record,
    recordFault: loaded.fault,
    revision: loaded.found?.revision,
    versions,
    chain,
    ...asked,
  };
}

async function ask(
  stand: Stand,
  versions: readonly StoredVersion[],
): Promise<Pick<Examination, "overlap" | "tried" | "marks" | "findings" | "unasked">> {
  const { rotator } = stand;
  let unasked: KeyturnError | undefined;
  const attempt = async <Result>(work: () => Promise<Result>): Promise<Result | undefined> =>
    work().catch((thrown: unknown) => {
      unasked ??= asKeyturnError(thrown);
      return undefined;
    });
  const marks = await attempt(async () => rotator.inspect(await contextOf(stand, "doctor", "")));
  const tried: TriedVersion[] = [];
  for (const version of worthTrying(versions)) {
    const found = await attempt(() => tryVersion(stand, version, marks ?? []));
    if (found !== undefined) tried.push(found);
  }
  const findings = await attempt(async () => rotator.preflight(await contextOf(stand, "doctor", "")));
  return { overlap: rotator.overlap, tried, marks, findings: findings ?? [], unasked };
}

/** What has a stage, however old it is, and the newest of the rest. */
function worthTrying(versions: readonly StoredVersion[]): readonly StoredVersion[] {
  const readable = versions.filter(({ disabled }) => !disabled);
  const rest = readable.filter(({ stage }) => stage === undefined).slice(0, triedMax);
  return readable.filter((one) => one.stage !== undefined || rest.includes(one));
}

async function tryVersion(
  stand: Stand,
  { version, stage, createdAt }: StoredVersion,
  marks: readonly Mark[],
): Promise<TriedVersion | undefined> {
  const { ports, rotator, record } = stand;
  const stored = await ports.store.read(record.ref, { version });
  if (stored === undefined) return undefined;
  protect(stand, stored.value);
  // By the fingerprint that the target knows it by, though the key may have been replaced since.
  const known = ports.fingerprinter.candidates(stored.value.reveal());
  const marked = marks.find(({ fingerprint }) => known.includes(fingerprint));
  const mark = marked === undefined ? markOf(stand, stored) : { version, fingerprint: marked.fingerprint };
  const context = await contextOf(stand, version, mark.fingerprint);
  const verdict = await rotator.refused(stored.value, context);
  return { ...mark, stage, createdAt, verdict, login: loginOf(stand, stored.value) };
}

function loginOf({ rotator, ports }: Stand, value: Secret): string {
  const fields = Object.entries(rotator.secretFields(value)).toSorted(([one], [other]) =>
    one < other ? -1 : 1,
  );
  const text = JSON.stringify([
    rotator.accountOf(value),
    ...fields.map(([name, field]) => [name, field.reveal()]),
  ]);
  return ports.fingerprinter.fingerprint(fields.length === 0 ? value.reveal() : text);
}

/** The chain as it stands in the log; what the record still has in its outbox comes behind it. */
async function readChain(ref: string, ports: Ports, record: RotationRecord | undefined): Promise<Chain> {
  let end = { sequence: 0, hash: "" };
  let epoch = 0;
  const compromised = new Map<string, Compromised>();
  const unwritten = new Map(record?.outbox.entries.map((entry) => [entry.hash, entry]));
  const listen = async function* () {
    for await (const entry of ports.audit.read(ref)) {
      end = { sequence: entry.sequence, hash: entry.hash };
      epoch = Math.max(epoch, entry.epoch);
      unwritten.delete(entry.hash);
      const { version, action, actor, at } = entry;
      if (version !== undefined && action === "emergency.requested") {
        compromised.set(version, { version, reportedBy: actor, at });
      }
      const known = version === undefined ? undefined : compromised.get(version);
      if (known !== undefined && action === "debt.paid")
        compromised.set(known.version, { ...known, refusedAt: at });
      yield entry;
    }
  };
  const unsent = record?.outbox.entries[0];
  const expected =
    unsent === undefined ? record?.audit : { sequence: unsent.sequence - 1, hash: unsent.previousHash };
  const { fault } = await verifyChain(ref, listen(), expected).catch((): { readonly fault: ChainFault } => ({
    fault: { kind: "unreadable", sequence: end.sequence + 1 },
  }));
  const left = [...unwritten.values()];
  const isForked = left.some(({ sequence }) => sequence <= end.sequence);
  return { end, fault, unwritten: left, isForked, epoch, compromised: [...compromised.values()] };
}
