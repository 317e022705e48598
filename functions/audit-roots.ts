import { RootsLine } from "../core/audit-root.ts";
import { KeyturnError } from "../core/errors.ts";
import type { AuditRoots } from "../core/ports.ts";
import { type LineKind, type LockedBucket, LockedChain } from "./locked-chain.ts";

const lines: LineKind<RootsLine> = {
  name: "a line of the list of audit roots",
  read: (json) => RootsLine.safeParse(json).data,
  link: ({ number, hash, previousHash }) => ({ place: number, hash, previousHash }),
};

/** The list as locked objects, `roots/<counting down>.json`, in the bucket of the chains or in one that others control. */
export function openAuditRoots(bucket: LockedBucket): AuditRoots {
  const list = new LockedChain(bucket, "roots", lines);
  return {
    append: async (line) => {
      if (await list.append(line)) return;
      throw new KeyturnError("conflict", `the list of audit roots has no place ${line.number} for this line`);
    },
    read: () => list.read(),
    end: async () => {
      const { place, hash } = await list.end();
      return { number: place, hash };
    },
  };
}
