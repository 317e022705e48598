import { seal } from "../core/audit.ts";
import { commit, flush } from "../core/commit.ts";
import { asKeyturnError } from "../core/errors.ts";
import type { AuditLog, Loaded, Ports } from "../core/ports.ts";
import { stay } from "../core/transition.ts";

export interface Stored {
  readonly ref: string;
  readonly version: string;
  readonly actor: string;
  readonly detail: string;
}

/**
 * Writes into the audit that a person has stored a value. What was only ever held has no record in the journal: its chain goes on from
 * its own last entry. What was rotated before has one, which knows where its chain ends.
 */
export async function noteStored(ports: Ports, stored: Stored): Promise<void> {
  try {
    const loaded = await ports.journal.load(stored.ref);
    await (loaded === undefined ? append(ports, stored) : throughRecord(ports, loaded, stored));
  } catch (thrown) {
    if (asKeyturnError(thrown).code !== "conflict") throw thrown;
    // Somebody has stored one at the same moment, and was first.
    await noteStored(ports, stored);
  }
}

async function append({ audit, clock }: Ports, { ref, version, actor, detail }: Stored): Promise<void> {
  const entry = { ref, at: clock.now(), actor, action: "put", epoch: 0, version, detail };
  await audit.append(seal(entry, await endOf(audit, ref)));
}

async function throughRecord(
  ports: Ports,
  { record, revision }: Loaded,
  { version, actor, detail }: Stored,
): Promise<void> {
  const noted = stay(record, { action: "put", detail, version, actor });
  const saved = await commit(ports, revision, noted, actor);
  const flushed = await flush(ports, saved.record);
  await ports.journal.save(flushed, saved.revision).catch((thrown: unknown) => {
    // Somebody goes on from what was saved, and sees to what is written by then.
    if (asKeyturnError(thrown).code !== "conflict") throw thrown;
  });
}

async function endOf(audit: AuditLog, ref: string): Promise<{ sequence: number; hash: string }> {
  let end = { sequence: 0, hash: "" };
  for await (const { sequence, hash } of audit.read(ref)) end = { sequence, hash };
  return end;
}
