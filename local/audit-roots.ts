import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { hashOfLine, RootsLine } from "../core/audit-root.ts";
import { KeyturnError } from "../core/errors.ts";
import type { AuditRoots } from "../core/ports.ts";
import { openAuditLock, translated } from "./audit-log.ts";
import type { Database } from "./database.ts";
import { syncFolder } from "./files.ts";
import { appendToLines, endOfLines, type LineChain, readLines } from "./line-chain.ts";

const roots: LineChain<RootsLine> = {
  name: "a line of the list of audit roots",
  read: (json) => RootsLine.safeParse(json).data,
  link: ({ number, hash, previousHash }) => ({ place: number, hash, previousHash }),
  isWhole: (line) => hashOfLine(line) === line.hash,
};

export interface LocalAuditRoots extends AuditRoots {
  /** Does it while nobody else writes to the audit. */
  exclusively(work: () => void): Promise<void>;
}

/** The list is a file of JSON lines beside the audit's folder, with the same lock. It is made by its first line. */
export async function openAuditRoots(folder: string): Promise<LocalAuditRoots & Disposable> {
  const path = `${folder}-roots.jsonl`;
  const lock: Database = await openAuditLock(folder, false);
  return {
    append: async (line) => {
      await lock.write(() =>
        translated(path, () => {
          const isFirst = !existsSync(path);
          if (!appendToLines(path, line, roots)) {
            throw new KeyturnError(
              "conflict",
              `the list of audit roots is at ${endOfLines(path, roots).place}`,
            );
          }
          if (isFirst) syncFolder(dirname(path));
        }),
      );
    },
    read: () => readLines(path, roots),
    end: async () => {
      const { place, hash } = endOfLines(path, roots);
      return { number: place, hash };
    },
    exclusively: (work) => lock.write(work),
    [Symbol.dispose]: () => lock.close(),
  };
}
