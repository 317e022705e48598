import type { AuditEntry } from "../core/audit.ts";
import type { Ports } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";

/** The audit entries of a secret behind a sequence: those that are written, and those that still wait in the record's outbox. */
export async function entriesAfter(
  sequence: number,
  { ref, audit, outbox }: RotationRecord,
  ports: Pick<Ports, "audit">,
): Promise<readonly AuditEntry[]> {
  if (audit.sequence <= sequence) return [];
  const unsent = outbox.entries.filter((entry) => entry.sequence > sequence);
  const firstUnsent = unsent[0]?.sequence ?? audit.sequence + 1;
  if (firstUnsent === sequence + 1) return unsent;
  const written: AuditEntry[] = [];
  for await (const entry of ports.audit.read(ref)) {
    if (entry.sequence > sequence && entry.sequence < firstUnsent) written.push(entry);
  }
  return [...written, ...unsent];
}
