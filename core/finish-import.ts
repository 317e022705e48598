import { areAlike } from "./alike.ts";
import { asKeyturnError } from "./errors.ts";
import type { StoredSecret } from "./ports.ts";
import type { Rotation } from "./record.ts";
import { isSameLogin } from "./same-login.ts";
import { contextOf, fingerprintOf, markOf, type Stand } from "./stand.ts";

/** Whether the store has the record's current by another version: somebody has stored it once more, perhaps in other words. */
export async function isOtherName(
  { ports, rotator, record }: Pick<Stand, "ports" | "rotator" | "record">,
  current: Pick<StoredSecret, "version" | "value">,
): Promise<boolean> {
  const known = record.current?.version;
  if (known === undefined || known === current.version) return false;
  const before = await ports.store.read(record.ref, { version: known }).catch(unlessItPasses);
  return before !== undefined && areAlike(rotator, before.value, current.value);
}

/** What fails for good tells nothing, and keeps no successor from being made, and nothing from being retired. */
export function unlessItPasses(thrown: unknown): undefined {
  if (asKeyturnError(thrown).disposition === "retry") throw thrown;
}

/**
 * What an import made current before it died, or somebody has stored in other words, bears no mark of it, and by no other can it be retired. A cutover type's one login gets its mark
 * from set. An emergency goes on without the mark, rather than not at all: whoever has the leaked login could keep Keyturn from logging in by it.
 */
export async function finishImport(
  stand: Stand,
  { id, urgent }: Rotation,
  current: StoredSecret,
  isRenamed: boolean,
): Promise<void> {
  const { record, rotator } = stand;
  const isUnmarked = isRenamed || record.importing?.includes(current.version) === true;
  if (rotator.overlap === "cutover" || !isUnmarked) return;
  // What was cut first lets nobody in, and bears its mark.
  if (record.refused.includes(current.version)) return;
  const mark = markOf(stand, current);
  const isCut = record.debts.some((debt) => debt.cutFirst && isSameLogin(record, debt, mark));
  await adoptBy(stand, current, { rotationId: id, epoch: isCut ? record.epoch - 1 : record.epoch }).catch(
    (thrown: unknown) => {
      // Whom the target does not let in cannot give it a successor either.
      if (!urgent || asKeyturnError(thrown).code === "admin-refused") throw thrown;
    },
  );
}

/** By the epoch before: at one epoch nothing is both marked and retired. */
export async function markToRetire(stand: Stand, owed: StoredSecret): Promise<void> {
  await adoptBy(stand, owed, { rotationId: owed.version, epoch: stand.record.epoch - 1 });
}

async function adoptBy(
  stand: Stand,
  stored: StoredSecret,
  { rotationId, epoch }: { readonly rotationId: string; readonly epoch: number },
): Promise<void> {
  const at = { ...stand, record: { ...stand.record, epoch } };
  const context = await contextOf(at, rotationId, fingerprintOf(stand, stored.value));
  await stand.rotator.adopt?.(stored.value, context);
}
