import { type ChainFault, verifyChain } from "./audit.ts";
import type { AuditLog, AuditRoots, Journal } from "./ports.ts";
import {
  type BrokenMark,
  type KnownRoots,
  type Mark,
  type RootsVerdict,
  verifyRoots,
  withMarks,
} from "./verify-roots.ts";

export interface ChainVerdict {
  readonly ref: string;
  /** Entries without a fault. */
  readonly entries: number;
  readonly fault: ((ChainFault | PutIn) & { readonly root?: undefined }) | BrokenMark | undefined;
}

/** The first entry behind the end that the journal knows, though the journal is saved before the audit is written. */
interface PutIn {
  readonly kind: "unknown";
  readonly sequence: number;
}

export interface AuditVerdict {
  /** Every chain that there is, or that the journal or a root knows of, by its name. */
  readonly chains: readonly ChainVerdict[];
  readonly roots: RootsVerdict;
}

interface Verifiable {
  readonly audit: Pick<AuditLog, "read" | "refs">;
  readonly journal: Pick<Journal, "load" | "refs">;
  readonly roots: Pick<AuditRoots, "read">;
}

/** Reads all there is of a store's audit: the roots first, and then each chain, against itself, the roots, and the journal. */
export async function verifyAudit(ports: Verifiable, known: KnownRoots): Promise<AuditVerdict> {
  const { audit, journal } = ports;
  const roots = await verifyRoots(ports.roots.read(), known);
  const refs = new Set([...(await audit.refs()), ...(await journal.refs()), ...roots.marks.keys()]);
  const chains: ChainVerdict[] = [];
  for (const ref of [...refs].sort()) chains.push(await verifyOne(ports, ref, roots.marks.get(ref)));
  return { chains, roots };
}

/** The journal knows where a chain ends; what still waits in the outbox is not yet part of it. The roots know where it once was. */
async function verifyOne(
  { audit, journal }: Pick<Verifiable, "audit" | "journal">,
  ref: string,
  marks: readonly Mark[] | undefined,
): Promise<ChainVerdict> {
  const record = (await journal.load(ref))?.record;
  const unsent = record?.outbox.entries[0];
  const end =
    unsent === undefined ? record?.audit : { sequence: unsent.sequence - 1, hash: unsent.previousHash };
  const { entries, broken } = withMarks(audit.read(ref), marks);
  const { length, fault } = await verifyChain(ref, entries, end);
  return { ref, entries: length, fault: broken() ?? fault ?? (await putIn(journal, ref, length)) };
}

/** The journal is asked once more: what was written while the chain was read is in it by now. One that knows nothing of the secret was lost. */
async function putIn(
  journal: Verifiable["journal"],
  ref: string,
  length: number,
): Promise<PutIn | undefined> {
  const known = (await journal.load(ref))?.record.audit.sequence;
  return known === undefined || length <= known ? undefined : { kind: "unknown", sequence: known + 1 };
}
