import type { AuditLog, AuditRoots } from "./ports.ts";

/** A name that is longer goes on in a folder: disks take 255 bytes. */
const partMax = 200;
const suffix = ".jsonl";

/** How each byte stands in a name. */
const spelling = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  return /[a-z0-9_-]/.test(character) ? character : `%${byte.toString(16).padStart(2, "0")}`;
});

/** A reference as a name without `/`. Small letters, digits, underscores and hyphens stand for themselves: some disks do not tell `A` from `a`. */
export function spelledRef(ref: string): string {
  return [...Buffer.from(ref)].map((byte) => spelling[byte]).join("");
}

/** Undefined for a name that no reference is spelled as. */
export function refSpelled(name: string): string | undefined {
  try {
    const ref = decodeURIComponent(name);
    return spelledRef(ref) === name ? ref : undefined;
  } catch {
    return undefined;
  }
}

/** The file of a secret's chain in the folder of the audit. */
export function chainFile(ref: string): string {
  const name = spelledRef(ref);
  const parts = Array.from({ length: Math.ceil(name.length / partMax) }, (_, index) =>
    name.slice(index * partMax, (index + 1) * partMax),
  );
  return `${parts.join("/")}${suffix}`;
}

/** Undefined for a file that is no chain's. */
export function refOfChainFile(path: string): string | undefined {
  const ref = refSpelled(path.slice(0, -suffix.length).replaceAll("/", ""));
  return ref !== undefined && chainFile(ref) === path ? ref : undefined;
}

interface AuditFile {
  /** From the folder in which a verifier looks for `audit` and `audit-roots.jsonl`. */
  readonly path: string;
  readonly lines: AsyncIterable<string>;
}

/** The whole audit as the files that docs/audit.md describes, wherever it is kept: a verifier needs nothing else. */
export async function* auditFiles({
  audit,
  roots,
}: {
  readonly audit: Pick<AuditLog, "refs" | "read">;
  readonly roots: Pick<AuditRoots, "read">;
}): AsyncIterable<AuditFile> {
  // First: the chains then hold all that the roots speak of.
  yield { path: "audit-roots.jsonl", lines: linesOf(roots.read()) };
  for (const ref of await audit.refs()) {
    yield { path: `audit/${chainFile(ref)}`, lines: linesOf(audit.read(ref)) };
  }
}

async function* linesOf(items: AsyncIterable<unknown>): AsyncIterable<string> {
  for await (const item of items) yield `${JSON.stringify(item)}\n`;
}
