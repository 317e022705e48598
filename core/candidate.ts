import type { Outcome } from "./outcome.ts";
import type { Rotation, RotationRecord, VersionMark } from "./record.ts";
import { alsoNamed, isSameLogin } from "./same-login.ts";
import { isCompromised, owe, type Surroundings, stay, type Transition } from "./transition.ts";

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
      ...withPublished(withNames(record, rotation, current, isRenamed), current, now),
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

/**
 * What is owed and has become current nevertheless, such as a candidate that was taken for lost, is in use; if it has not leaked, it is owed no more. A
 * leaked value that it took over from is owed instead.
 */
export function withPublished(
  record: RotationRecord,
  current: VersionMark | undefined,
  now: number,
): RotationRecord {
  const { current: before, debts } = record;
  const published = debts.find(({ version }) => version === current?.version);
  if (published === undefined) return record;
  const others = debts.filter((debt) => debt !== published);
  const kept = isCompromised(record, published) ? record : { ...record, debts: others };
  const leaked = isCompromised(record, before) ? before : undefined;
  if (leaked === undefined || isSameLogin(record, leaked, published)) return kept;
  return owe(kept, leaked, { reason: "leaked", cutFirst: false, notBefore: now }, now);
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
