import type { Rotation, RotationRecord, VersionMark } from "./record.ts";

/** So many of the newest: what is older is in no cache any more, but where imports have failed that often in between. */
const keptAtMost = 50;

/**
 * Every version by which somebody may name the login of that one, itself first: a rollback gives an old value a new version, and so does
 * an import in other words. What one of them is owed, waits for or has leaked, all of them are.
 */
export function namesOf({ sameLogin }: Pick<RotationRecord, "sameLogin">, version: string): string[] {
  const names = [version];
  // Grows while it is walked through.
  for (const name of names) {
    for (const pair of sameLogin) {
      if (pair.includes(name)) names.push(...pair.filter((other) => !names.includes(other)));
    }
  }
  return names;
}

/** Every version by which agents may name what that rotation replaces. */
export function previousNames(
  record: Pick<RotationRecord, "sameLogin">,
  rotation: Rotation | undefined,
): string[] {
  if (rotation?.previous === undefined) return [];
  return namesOf(record, rotation.previous.version).filter((name) => name !== rotation.id);
}

/** Remembers that all these versions hold one login. */
export function alsoNamed(
  record: RotationRecord,
  version: string,
  ...others: readonly string[]
): RotationRecord {
  const known = namesOf(record, version);
  const pairs = others.filter((other) => !known.includes(other)).map((other): Pair => [version, other]);
  if (pairs.length === 0) return record;
  return { ...record, sameLogin: [...record.sameLogin, ...pairs].slice(-keptAtMost) };
}

type Pair = [string, string];

/** Whether two marks are of one login, as far as the record knows: by version, by value, or by another name. */
export function isSameLogin(
  record: Pick<RotationRecord, "sameLogin">,
  one: VersionMark,
  other: VersionMark,
): boolean {
  return one.fingerprint === other.fingerprint || namesOf(record, one.version).includes(other.version);
}

/** The login of that version is proven refused: nobody is granted a hold on any of its names. What one of them has leaked, the others have still. */
export function refusedFor(record: RotationRecord, version: string): RotationRecord {
  const names = namesOf(record, version);
  const before = record.refused.filter((name) => !names.includes(name));
  return { ...record, refused: [...before, ...names].slice(-keptAtMost) };
}
