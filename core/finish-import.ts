import { areAlike } from "./alike.ts";
import { asKeyturnError } from "./errors.ts";
import type { StoredSecret } from "./ports.ts";
import type { Rotation } from "./record.ts";
import { contextOf, fingerprintOf, type Stand } from "./stand.ts";

/** Whether the store has the record's current by another version: somebody has stored it once more, perhaps in other words. */
export async function isOtherName(
  { ports, rotator, record }: Pick<Stand, "ports" | "rotator" | "record">,
  current: Pick<StoredSecret, "version" | "value">,
): Promise<boolean> {
  const known = record.current?.version;
  if (known === undefined || known === current.version) return false;
  const before = await ports.store.read(record.ref, { version: known }).catch(unreadable);
  return before !== undefined && areAlike(rotator, before.value, current.value);
}

/** What cannot be read for good tells nothing, and keeps no successor from being made. */
function unreadable(thrown: unknown): undefined {
  if (asKeyturnError(thrown).disposition === "retry") throw thrown;
}

/**
 * What an import made current before it died, or somebody has stored in other words, bears no mark of it, and by no other can it be retired. A cutover type's one login gets its mark
 * from set. An emergency goes on without the mark, rather than not at all.
 */
export async function finishImport(
  stand: Stand,
  { id, urgent }: Rotation,
  current: StoredSecret,
  isRenamed: boolean,
): Promise<void> {
  const { rotator, record } = stand;
  const isUnmarked = isRenamed || record.importing?.includes(current.version) === true;
  if (rotator.overlap === "cutover" || !isUnmarked) return;
  const context = await contextOf(stand, id, fingerprintOf(stand, current.value));
  await rotator.adopt?.(current.value, context).catch((thrown: unknown) => {
    if (!urgent || asKeyturnError(thrown).disposition === "retry") throw thrown;
  });
}
