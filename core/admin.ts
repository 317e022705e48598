import { KeyturnError } from "./errors.ts";
import type { Ports, SecretStore, StoredSecret } from "./ports.ts";
import type { Secret } from "./secret.ts";
import type { Stand } from "./stand.ts";
import { rotationOf } from "./transition.ts";

/** How often pending and current are tried again while they change under the reader's hands. */
const roundsMax = 2;

/** The administering login as it stands in the store. Undefined: the secret names none. */
export async function adminOf(stand: Stand): Promise<StoredSecret | undefined> {
  const { admin, ref } = stand.managed;
  if (admin === undefined) return undefined;
  const stored = await readAdmin(stand, admin, "current");
  if (stored !== undefined) return stored;
  throw new KeyturnError("secret-missing", `the administering login ${admin} of ${ref} is not stored`);
}

/**
 * What else the administering login may be, one after the other, once the target has refused what was current. It may be in the middle of its
 * own rotation, so it is read as every reader of a cutover type reads: current, then pending, then current again. Ends with undefined
 * when there is nothing else, and throws `target-busy` when it is still being changed: that passes.
 */
export function otherAdmins(
  stand: Stand,
  refused: StoredSecret | undefined,
): () => Promise<Secret | undefined> {
  const others = candidates(stand, refused?.version);
  return async () => {
    const { value } = await others.next();
    return value?.value;
  };
}

async function* candidates(
  stand: Stand,
  refused: string | undefined,
): AsyncGenerator<StoredSecret, undefined> {
  const { managed, ports } = stand;
  const { admin } = managed;
  if (admin === undefined) return undefined;
  const rotated = ports.secrets.get(admin);
  const overlap = rotated && (await ports.rotators.load(rotated.type)).overlap;
  let tried = refused;
  let pending: StoredSecret | undefined;
  for (let round = 0; round < roundsMax; round += 1) {
    pending = overlap === "cutover" ? await readAdmin(stand, admin, "pending") : undefined;
    if (pending !== undefined) yield pending;
    const current = await readAdmin(stand, admin, "current");
    // What was refused amid a change that has been taken back since is let in again.
    const mayBeBack = overlap === "cutover" && round === 0;
    const isNew = pending !== undefined || current?.version !== tried || mayBeBack;
    if (current === undefined || !isNew) break;
    tried = current.version;
    yield current;
  }
  if (admin === managed.ref) yield* owed(stand);
  else if (pending !== undefined || (rotated !== undefined && (await isUnderWay(ports, admin)))) {
    throw new KeyturnError("target-busy", `the administering login ${admin} is being changed at this moment`);
  }
  return undefined;
}

/** Between two candidates the store has none, and the target still accepts the one that was put aside. */
async function isUnderWay({ journal }: Ports, ref: string): Promise<boolean> {
  const phase = (await journal.load(ref))?.record.state.phase ?? "idle";
  return phase !== "idle" && phase !== "halted";
}

/** A login that administers itself may have been left on any value that its own record still knows. */
async function* owed(stand: Stand): AsyncGenerator<StoredSecret> {
  const { ref, state, debts } = stand.record;
  const rotation = rotationOf(state);
  for (const mark of [...debts, rotation?.previous, rotation?.restores, rotation?.pending]) {
    const stored = mark && (await readAdmin(stand, ref, { version: mark.version }));
    if (stored !== undefined) yield stored;
  }
}

/** From here on no text that leaves this run can hold the value. */
async function readAdmin(
  { ports, rotator, redactor }: Stand,
  ref: string,
  which: "current" | "pending" | { readonly version: string },
): Promise<StoredSecret | undefined> {
  const stored = await ports.store.read(ref, which);
  if (stored === undefined) return undefined;
  redactor.add(stored.value);
  for (const field of Object.values(rotator.adminFields(stored.value))) redactor.add(field);
  return stored;
}

/** A login that administers itself is asked for before it is stored. */
export function asAdmin(ref: string, store: SecretStore, value: Secret): SecretStore {
  return {
    ...store,
    read: async (name, which) =>
      name === ref && which === "current"
        ? { ref, version: "", value, createdAt: 0 }
        : store.read(name, which),
  };
}
