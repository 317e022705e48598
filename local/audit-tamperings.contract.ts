import { appendFileSync, copyFileSync, cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AuditEntry, seal, sealAgain } from "../core/audit.ts";
import { sampleChain } from "../core/audit-log.contract.ts";
import { type Anchor, anchorOf, hashOfLine, RootsLine } from "../core/audit-root.ts";
import { AuditWitness } from "../core/audit-witness.ts";
import { type AuditVerdict, verifyAudit } from "../core/verify-audit.ts";
import { openAuditLog } from "./audit-log.ts";
import { openAuditRoots } from "./audit-roots.ts";
import { temporaryFolder } from "./folder.contract.ts";
import { memoryJournal } from "./memory.ts";
import { type LocalStore, openLocal } from "./open.ts";

/** A folder whose audit was signed three times, by two keys. */
export interface SignedFolder {
  readonly folder: string;
  readonly installation: string;
  readonly publicKeys: readonly string[];
  /** The newest root. */
  readonly anchor: Anchor;
  readonly list: string;
  /** The list as it was before the newest root. */
  readonly olderList: string;
  /** The file of a chain. */
  chain(ref: keyof typeof names): string;
}

const names = {
  "app/db": "app%2fdb",
  "app/ünd 😀": "app%2f%c3%bcnd%20%f0%9f%98%80",
  "app/last": "app%2flast",
} as const;

export function witnessOf({ installation, audit, auditRoots, auditKeys, clock }: LocalStore): AuditWitness {
  return new AuditWitness({ installation, audit, roots: auditRoots, keys: auditKeys, clock });
}

/** Adds the sample's entries from one place to another. */
export async function grow({ audit }: LocalStore, ref: string, from: number, to: number): Promise<void> {
  for (const entry of sampleChain(ref, to).slice(from)) await audit.append(entry);
}

/** It is made in a folder of the caller's, who takes it away, too: to make one takes longer than to copy it. */
export async function signedFolder(home: string): Promise<SignedFolder> {
  const options = { path: join(home, "data"), environment: { HOME: home } };
  const local = await openLocal({ ...options, create: true });
  const witness = witnessOf(local);
  await grow(local, "app/db", 0, 3);
  await grow(local, "app/ünd 😀", 0, 2);
  await witness.sign();
  await grow(local, "app/db", 3, 5);
  await witness.sign();
  await witness.rotateKey();
  copyFileSync(join(options.path, "audit-roots.jsonl"), join(options.path, "older.jsonl"));
  await grow(local, "app/last", 0, 2);
  const { root } = await witness.sign();
  if (root === undefined) throw new Error("nothing was signed");
  const { installation } = local;
  const publicKeys = await local.auditKeys.publicKeys();
  await local.close();
  return placed(options.path, { installation, publicKeys, anchor: anchorOf(root) });
}

/** The same in a folder of its own. */
export function copyOf(signed: SignedFolder): SignedFolder {
  const folder = temporaryFolder();
  cpSync(signed.folder, folder, { recursive: true });
  return placed(folder, signed);
}

function placed(
  folder: string,
  { installation, publicKeys, anchor }: Pick<SignedFolder, "installation" | "publicKeys" | "anchor">,
): SignedFolder {
  return {
    folder,
    installation,
    publicKeys,
    anchor,
    list: join(folder, "audit-roots.jsonl"),
    olderList: join(folder, "older.jsonl"),
    chain: (ref) => join(folder, "audit", `${names[ref]}.jsonl`),
  };
}

/** What is said of the folder by whoever has lost the journal. */
export async function verdictOf(
  folder: string,
  known: { readonly installation: string; readonly publicKeys?: readonly string[]; readonly anchor?: Anchor },
): Promise<AuditVerdict> {
  using audit = await openAuditLog(join(folder, "audit"), false);
  using roots = await openAuditRoots(join(folder, "audit"));
  return await verifyAudit({ audit, roots, journal: memoryJournal() }, known);
}

export interface Tampering {
  readonly name: string;
  readonly tamper: (signed: SignedFolder) => void;
  /** The fault of the chain app/db, or of the one that is named. */
  readonly chain?: unknown;
  readonly of?: string;
  /** The fault of the list of roots. */
  readonly roots?: unknown;
  /** It is found only by whoever has kept the newest root elsewhere. */
  readonly needsAnchor?: boolean;
}

/** Everything that somebody might do to the files of an audit. Who can only write the data has no signing key. */
export const tamperings: readonly Tampering[] = [
  { name: "nothing at all", tamper: () => undefined },
  {
    name: "an entry is changed",
    tamper: ({ chain }) =>
      edit(chain("app/db"), (lines) => lines.with(1, (lines[1] ?? "").replace("worker", "nobody"))),
    chain: { kind: "changed", sequence: 2 },
  },
  {
    name: "an entry is removed",
    tamper: ({ chain }) => edit(chain("app/db"), (lines) => lines.toSpliced(2, 1)),
    chain: { kind: "gap", sequence: 4 },
  },
  {
    name: "two entries change places",
    tamper: ({ chain }) => edit(chain("app/db"), ([a = "", b = "", c = "", ...rest]) => [a, c, b, ...rest]),
    chain: { kind: "gap", sequence: 3 },
  },
  {
    name: "an entry is put in",
    tamper: ({ chain }) =>
      edit(chain("app/db"), ([first = "", ...rest]) => {
        const before = AuditEntry.parse(JSON.parse(first));
        return [first, JSON.stringify(seal({ ...before, detail: "put in" }, before)), ...rest];
      }),
    chain: { kind: "gap", sequence: 2 },
  },
  {
    name: "an entry is replaced by another that follows its predecessor",
    tamper: ({ chain }) =>
      edit(chain("app/db"), (lines) => [...resealed(lines.slice(0, 2)), ...lines.slice(2)]),
    chain: { kind: "unlinked", sequence: 3 },
  },
  {
    name: "another secret's entries are put in its place",
    tamper: ({ chain }) => copyFileSync(chain("app/ünd 😀"), chain("app/db")),
    chain: { kind: "foreign", sequence: 1 },
  },
  {
    name: "a line is no entry",
    tamper: ({ chain }) => edit(chain("app/db"), (lines) => lines.with(1, '{"ref":"app/db","sequence":2}')),
    chain: { kind: "unreadable", sequence: 2 },
  },
  {
    name: "a chain is cut off at the end",
    tamper: ({ chain }) => edit(chain("app/db"), (lines) => lines.slice(0, 3)),
    chain: { kind: "cut-off", sequence: 3, root: 3 },
  },
  {
    name: "a chain is cut off in the middle of a line",
    tamper: ({ chain }) => {
      const text = readFileSync(chain("app/db"), "utf8");
      writeFileSync(chain("app/db"), text.slice(0, -20));
    },
    chain: { kind: "cut-off", sequence: 4, root: 3 },
  },
  {
    name: "a whole chain is gone",
    tamper: ({ chain }) => rmSync(chain("app/ünd 😀")),
    of: "app/ünd 😀",
    chain: { kind: "cut-off", sequence: 0, root: 2 },
  },
  {
    name: "a chain is written anew, with every hash right",
    tamper: ({ chain }) => edit(chain("app/db"), resealed),
    chain: { kind: "replaced", sequence: 3, root: 2 },
  },
  {
    name: "the end of a chain is written anew, with every hash right",
    tamper: ({ chain }) =>
      edit(chain("app/db"), (lines) => {
        const kept = lines.slice(0, 3);
        const last = AuditEntry.parse(JSON.parse(kept[2] ?? ""));
        const others = lines.slice(3).map((line) => AuditEntry.parse(JSON.parse(line)));
        const forged = sealAgain(
          others.map((entry) => ({ ...entry, actor: "nobody" })),
          last,
        );
        return [...kept, ...forged.map((entry) => JSON.stringify(entry))];
      }),
    chain: { kind: "replaced", sequence: 5, root: 3 },
  },
  {
    name: "a root is changed",
    tamper: ({ list }) =>
      edit(list, (lines) => lines.with(1, (lines[1] ?? "").replace(/"at":\d+/, '"at":12'))),
    roots: { kind: "changed", number: 2 },
  },
  {
    name: "a change in a root is changed",
    tamper: ({ list }) =>
      edit(list, (lines) => lines.with(2, (lines[2] ?? "").replace('"sequence":5', '"sequence":4'))),
    roots: { kind: "changed", number: 3 },
  },
  {
    name: "a root says that a chain was accepted",
    tamper: ({ list }) =>
      edit(list, (lines) =>
        lines.with(2, (lines[2] ?? "").replace('"accepted":[]', '"accepted":["app/db"]')),
      ),
    roots: { kind: "changed", number: 3 },
  },
  {
    name: "a root's signature is another's",
    tamper: ({ list }) =>
      edit(list, (lines) => {
        const [, other] = /"signature":"([^"]+)"/.exec(lines[1] ?? "") ?? [];
        return lines.with(2, (lines[2] ?? "").replace(/"signature":"[^"]+"/, `"signature":"${other}"`));
      }),
    roots: { kind: "unsigned", number: 3 },
  },
  {
    name: "a root's signature is no signature",
    tamper: ({ list }) =>
      edit(list, (lines) =>
        lines.with(4, (lines[4] ?? "").replace(/"signature":"[^"]+"/, '"signature":"A"')),
      ),
    roots: { kind: "unsigned", number: 5 },
  },
  {
    name: "a root is removed",
    tamper: ({ list }) => edit(list, (lines) => lines.toSpliced(2, 1)),
    roots: { kind: "gap", number: 4 },
  },
  {
    name: "a root is put in",
    tamper: ({ list }) => edit(list, (lines) => lines.toSpliced(2, 0, lines[1] ?? "")),
    roots: { kind: "gap", number: 2 },
  },
  {
    name: "a root is put in at the end, with its hash right",
    tamper: ({ list }) =>
      edit(list, (lines) => {
        const last = RootsLine.parse(JSON.parse(lines.at(-1) ?? ""));
        const root = { ...last, number: last.number + 1, at: last.at + 1, previousHash: last.hash };
        return [...lines, JSON.stringify({ ...root, hash: hashOfLine(root) })];
      }),
    roots: { kind: "unsigned", number: 6 },
  },
  {
    name: "two roots change places",
    tamper: ({ list }) => edit(list, ([key = "", one = "", two = "", ...rest]) => [key, two, one, ...rest]),
    roots: { kind: "gap", number: 3 },
  },
  {
    name: "a line of the list is no root",
    tamper: ({ list }) => edit(list, (lines) => lines.with(3, "{}")),
    roots: { kind: "unreadable", number: 4 },
  },
  {
    name: "half a line stands at the end of the list, as a kill may leave it",
    tamper: ({ list }) => appendFileSync(list, '{"kind":"root","number":6,'),
  },
  {
    name: "a key that nobody has signed is put in",
    tamper: ({ list }) =>
      edit(list, (lines) =>
        lines.with(3, (lines[3] ?? "").replace(/"publicKey":"[0-9a-f]{4}/, '"publicKey":"0000')),
      ),
    roots: { kind: "changed", number: 4 },
  },
  {
    name: "the newest root is cut off",
    tamper: ({ list, olderList }) => copyFileSync(olderList, list),
    roots: { kind: "older", number: 4 },
    needsAnchor: true,
  },
  {
    name: "the list of roots is gone",
    tamper: ({ list }) => rmSync(list),
    roots: { kind: "older", number: 0 },
    needsAnchor: true,
  },
];

function edit(path: string, change: (lines: readonly string[]) => readonly string[]): void {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  writeFileSync(path, `${change(lines).join("\n")}\n`);
}

/** What a forger writes who knows the format: other words, and every hash right again. */
function resealed(lines: readonly string[]): readonly string[] {
  const entries = lines.map((line) => ({ ...AuditEntry.parse(JSON.parse(line)), actor: "nobody" }));
  return sealAgain(entries, { sequence: 0, hash: "" }).map((entry) => JSON.stringify(entry));
}
