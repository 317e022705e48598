import type { AuditEntry } from "./audit.ts";
import type { Anchor, RootLine, RootsLine } from "./audit-root.ts";
import { asKeyturnError } from "./errors.ts";
import { type IntroducedKey, type LineFault, RootsList } from "./roots-list.ts";

/** What is wrong with the list of roots, and at which of its lines. */
export interface RootsFault {
  /**
   * Besides what may be wrong with a line: `unreadable`; `missing`, there is a key and no list; `another-key`, the list is signed by another
   * key than this machine's; `older`, it ends before the anchor; `diverged`, it has another line where the anchor was.
   */
  readonly kind: LineFault | "unreadable" | "missing" | "another-key" | "older" | "diverged";
  readonly number: number;
}

/** What a root says of a chain. */
export interface Mark {
  readonly sequence: number;
  readonly hash: string;
  /** The number of the root. */
  readonly root: number;
}

export interface RootsVerdict {
  /** Lines without a fault. */
  readonly lines: number;
  readonly keys: readonly IntroducedKey[];
  readonly last: RootLine | undefined;
  readonly fault: RootsFault | undefined;
  /** What the roots say of each chain, in the order of the roots. What a person has accepted counts from there on. */
  readonly marks: ReadonlyMap<string, readonly Mark[]>;
  /** Chains that a person has accepted as they were, and in which root. */
  readonly accepted: readonly { readonly ref: string; readonly root: number; readonly at: number }[];
}

/** What is known of the list from elsewhere. */
export interface KnownRoots {
  readonly installation: string;
  /** A root of this list that was kept elsewhere. */
  readonly anchor?: Anchor | undefined;
  /** The public keys of the keys that this machine has. */
  readonly publicKeys?: readonly string[];
}

/** Reads the list of roots to its end, or to its first fault. Whatever keeps it from being read is thrown. */
export async function verifyRoots(lines: AsyncIterable<RootsLine>, known: KnownRoots): Promise<RootsVerdict> {
  const list = new RootsList(known.installation);
  const marks = new Map<string, Mark[]>();
  const accepted: { ref: string; root: number; at: number }[] = [];
  let fault: RootsFault | undefined;
  let parts: RootsFault | undefined;
  try {
    for await (const line of lines) {
      const kind = list.add(line);
      if (kind !== undefined) {
        fault = { kind, number: line.number };
        break;
      }
      if (line.kind === "root") {
        mark(marks, line);
        accepted.push(...line.accepted.map((ref) => ({ ref, root: line.number, at: line.at })));
      }
      if (line.number === known.anchor?.number && line.hash !== known.anchor.hash) {
        parts ??= { kind: "diverged", number: line.number };
      }
    }
  } catch (thrown) {
    // What cannot even be read is a finding, not an outage; whatever else was thrown is one.
    if (asKeyturnError(thrown).code !== "data-broken") throw thrown;
    fault = { kind: "unreadable", number: list.number + 1 };
  }
  fault ??= parts ?? faultOfEnd(list, known);
  return { lines: list.number, keys: list.keys, last: list.last, fault, marks, accepted };
}

/**
 * The entries of a chain as they are read, and, once they were all read, the first mark that the chain does not keep: an entry that is not
 * the one of which the root speaks, or one that is not there any more.
 */
export function withMarks(
  entries: AsyncIterable<AuditEntry>,
  marks: readonly Mark[] = [],
): { readonly entries: AsyncIterable<AuditEntry>; broken(): BrokenMark | undefined } {
  const wanted = Map.groupBy(marks, ({ sequence }) => sequence);
  let replaced: BrokenMark | undefined;
  let length: number | undefined;
  const read = async function* () {
    let last = 0;
    for await (const entry of entries) {
      yield entry;
      last = entry.sequence;
      const other = wanted.get(last)?.find(({ hash }) => hash !== entry.hash);
      if (other !== undefined) replaced ??= { kind: "replaced", sequence: last, root: other.root };
    }
    length = last;
  };
  const broken = (): BrokenMark | undefined => {
    const end = length;
    if (end === undefined) return undefined;
    if (replaced !== undefined) return replaced;
    const beyond = marks.find(({ sequence }) => sequence > end);
    return beyond && { kind: "cut-off", sequence: end, root: beyond.root };
  };
  return { entries: read(), broken };
}

/** A chain that is whole in itself, and is not the one of which a root speaks. */
export interface BrokenMark {
  readonly kind: "replaced" | "cut-off";
  readonly sequence: number;
  readonly root: number;
}

function mark(marks: Map<string, Mark[]>, { number, changed, accepted }: RootLine): void {
  for (const { ref, sequence, hash } of changed) {
    const before = accepted.includes(ref) ? [] : marks.get(ref);
    if (before === undefined || before.length === 0) marks.set(ref, [{ sequence, hash, root: number }]);
    else before.push({ sequence, hash, root: number });
  }
}

function faultOfEnd(list: RootsList, { anchor, publicKeys = [] }: KnownRoots): RootsFault | undefined {
  const { number, key } = list;
  if (anchor !== undefined && anchor.number > number) return { kind: "older", number };
  if (publicKeys.length === 0) return undefined;
  if (key === undefined) return { kind: "missing", number };
  return publicKeys.includes(key.publicKey) ? undefined : { kind: "another-key", number };
}
