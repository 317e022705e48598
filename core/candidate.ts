import type { Outcome } from "./outcome.ts";
import type { Rotation, RotationRecord, VersionMark } from "./record.ts";
import { alsoNamed } from "./same-login.ts";
import { type Surroundings, stay, type Transition } from "./transition.ts";

/** One that was never recorded as saved has only its version. */
export function candidateOf({ id, pending }: Rotation): VersionMark {
  return pending ?? { version: id, fingerprint: "" };
}

type Saved = Omit<Extract<Outcome, { readonly result: "saved" }>, "step" | "result">;

/** The candidate is saved. What was current is taken from the store, whoever put it there. */
export function created(
  record: RotationRecord,
  rotation: Rotation,
  { pending, current, isRenamed = false }: Saved,
  { now, overlap }: Surroundings,
): Transition {
  const outside =
    current !== undefined && record.current !== undefined && current.version !== record.current.version;
  const since = outside ? now : (record.current?.since ?? now);
  const cutSince = overlap === "cutover" && current !== undefined ? now : undefined;
  const known = { ...rotation, pending, previous: current, cutSince };
  return stay(
    {
      ...withNames(record, rotation, current, isRenamed),
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
  { id, restores }: Rotation,
  stored: VersionMark | undefined,
  isRenamed: boolean,
): RotationRecord {
  const named = restores === undefined ? record : alsoNamed(record, id, restores.version);
  const { current } = record;
  if (current === undefined || stored === undefined) return named;
  const isSame = isRenamed || current.fingerprint === stored.fingerprint;
  return isSame ? alsoNamed(named, stored.version, current.version) : named;
}
