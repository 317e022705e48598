import { areAlike } from "./alike.ts";
import { withPublished } from "./candidate.ts";
import type { Ports, StoredSecret } from "./ports.ts";
import { managedSecret } from "./reconcile.ts";
import type { RotationRecord, VersionMark } from "./record.ts";
import { alsoNamed, isSameLogin } from "./same-login.ts";
import { rotationOf } from "./transition.ts";

/** The record as an emergency for that version has to find it: with what is current in the store, and by which known login the version goes. */
export async function asLeaked(
  record: RotationRecord,
  leaked: VersionMark,
  ports: Ports,
): Promise<RotationRecord> {
  return withNameOf(await withCurrentOf(record, ports), leaked, ports);
}

/** Until a rotation has looked, the store has the say on what is current: somebody may have changed it there, and an emergency must strike what is. */
async function withCurrentOf(record: RotationRecord, ports: Ports): Promise<RotationRecord> {
  const { state } = record;
  const hasNotLooked =
    (state.phase === "create" || state.phase === "undo") && state.rotation.pending === undefined;
  if (state.phase !== "idle" && state.phase !== "halted" && !hasNotLooked) return record;
  const stored = await ports.store.read(record.ref, "current");
  if (stored === undefined || stored.version === record.current?.version) return record;
  const fingerprint = ports.fingerprinter.fingerprint(stored.value.reveal());
  const known = record.current && (await readable(record, record.current, ports));
  const rotator = await ports.rotators.load(managedSecret(ports, record.ref).type);
  const isSame = known !== undefined && areAlike(rotator, known.value, stored.value);
  // It bears no mark of that name, as of an import that has not ended.
  const importing = [...(record.importing ?? []), stored.version];
  const named = isSame ? { ...alsoNamed(record, stored.version, known.version), importing } : record;
  const current = { version: stored.version, fingerprint };
  return {
    ...withPublished(named, current, ports.clock.now()),
    current: { ...current, since: stored.createdAt },
  };
}

/** An import that was overtaken has left its value in the store, under a version that the record does not know. */
async function withNameOf(
  record: RotationRecord,
  leaked: VersionMark,
  ports: Ports,
): Promise<RotationRecord> {
  const rotation = rotationOf(record.state);
  const inUse = [record.current, rotation?.previous, rotation?.pending, rotation?.restores].filter(
    (mark) => mark !== undefined,
  );
  const isNamed = (mark: VersionMark) => isSameLogin(record, mark, leaked);
  if (inUse.some(isNamed)) return record;
  const value = await readable(record, leaked, ports);
  if (value === undefined) return record;
  const rotator = await ports.rotators.load(managedSecret(ports, record.ref).type);
  for (const mark of [...inUse, ...record.debts]) {
    if (isNamed(mark)) continue;
    const other = await readable(record, mark, ports);
    if (other !== undefined && areAlike(rotator, other.value, value.value)) {
      return alsoNamed(record, leaked.version, mark.version);
    }
  }
  return record;
}

/** No emergency waits for what only says by which other name its login goes. */
async function readable(
  { ref }: RotationRecord,
  { version }: VersionMark,
  { store }: Ports,
): Promise<StoredSecret | undefined> {
  return store.read(ref, { version }).catch(() => undefined);
}
