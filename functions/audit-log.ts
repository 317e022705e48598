import { AuditEntry } from "../core/audit.ts";
import { refSpelled, spelledRef } from "../core/audit-files.ts";
import { KeyturnError } from "../core/errors.ts";
import type { AuditLog } from "../core/ports.ts";
import { foldersIn, type LineKind, type LockedBucket, LockedChain } from "./locked-chain.ts";

const entries: LineKind<AuditEntry> = {
  name: "an entry of the audit",
  read: (json) => AuditEntry.safeParse(json).data,
  link: ({ sequence, hash, previousHash }) => ({ place: sequence, hash, previousHash }),
};

const folder = "chains";
/** S3 takes 1,024 bytes for a whole name, and 16 digits and an ending come behind this. */
const nameMax = 980;

/** One chain of locked objects for each secret: `chains/<the reference, spelled as in docs/audit.md>/<counting down>.json`. */
export function openAuditLog(bucket: LockedBucket): AuditLog {
  const chains = new Map<string, LockedChain<AuditEntry>>();
  const chainOf = (ref: string): LockedChain<AuditEntry> => {
    const chain = chains.get(ref) ?? new LockedChain(bucket, `${folder}/${nameOf(ref)}`, entries);
    chains.set(ref, chain);
    return chain;
  };
  return {
    append: async (entry) => {
      if (await chainOf(entry.ref).append(entry)) return;
      throw new KeyturnError(
        "conflict",
        `the audit of ${entry.ref} has no place ${entry.sequence} for this entry`,
      );
    },
    read: (ref) => chainOf(ref).read(),
    end: async (ref) => {
      const { place, hash } = await chainOf(ref).end();
      return { sequence: place, hash };
    },
    refs: async () => (await foldersIn(bucket, folder)).flatMap((name) => refSpelled(name) ?? []).sort(),
  };
}

function nameOf(ref: string): string {
  const name = spelledRef(ref);
  if (name.length <= nameMax) return name;
  throw new KeyturnError(
    "input-invalid",
    `the name of ${ref.slice(0, 60)}… is too long for S3: spelled out it has ${name.length} bytes, and ${nameMax} fit`,
  );
}
