import type { RootsLine } from "../core/audit-root.ts";
import { KeyturnError } from "../core/errors.ts";
import type { AuditRoots } from "../core/ports.ts";

/** The list of roots in memory; `begun` is what stands in it already, whoever wrote it. */
export function memoryAuditRoots(begun: readonly RootsLine[] = []): AuditRoots {
  const lines = [...begun];
  const end = () => ({ number: lines.at(-1)?.number ?? 0, hash: lines.at(-1)?.hash ?? "" });
  return {
    async append(line) {
      if (lines.some(({ hash }) => hash === line.hash)) return;
      const { number, hash } = end();
      if (line.number !== number + 1 || line.previousHash !== hash) {
        throw new KeyturnError("conflict", `the list of roots is at ${number}`);
      }
      lines.push(line);
    },
    async *read() {
      yield* [...lines];
    },
    async end() {
      return end();
    },
  };
}
