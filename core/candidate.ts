import type { Rotation, RotationRecord, VersionMark } from "./record.ts";
import { alsoNamed } from "./same-login.ts";
import { type Surroundings, stay, type Transition } from "./transition.ts";

/** One that was never recorded as saved has only its version. */
export function candidateOf({ id, pending }: Rotation): VersionMark {
  return pending ?? { version: id, fingerprint: "" };
}

/** The candidate is saved. What was current is taken from the store, whoever put it there. */
export function created(
  record: RotationRecord,
  rotation: Rotation,
  { pending, current }: { pending: VersionMark; current: VersionMark | undefined },
  { now, overlap }: Surroundings,
): Transition {
  const outside =
    current !== undefined && record.current !== undefined && current.version !== record.current.version;
  const since = outside ? now : (record.current?.since ?? now);
  const cutSince = overlap === "cutover" && current !== undefined ? now : undefined;
  const known = { ...rotation, pending, previous: current, cutSince };
  return stay(
    {
      ...withNames(record, rotation, current),
      current: current && { ...current, since },
      importing: undefined,
      state: { phase: "set", rotation: known, attempts: 0, notBefore: now },
    },
    {
      action: "create.done",
      detail: outside ? "current was changed in the store from outside" : "",
      version: rotation.id,
    },
  );
}

/** A rollback brings an old login back by a new name; and somebody may have stored the current one once more. */
function withNames(
  record: RotationRecord,
  rotation: Rotation,
  stored: VersionMark | undefined,
): RotationRecord {
  const { restores } = rotation;
  const named = restores === undefined ? record : alsoNamed(record, rotation.id, restores.version);
  const { current } = record;
  if (current === undefined || stored === undefined) return named;
  return current.fingerprint === stored.fingerprint
    ? alsoNamed(named, stored.version, current.version)
    : named;
}
