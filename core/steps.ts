import { envelope } from "./commit.ts";
import type { Action } from "./decide.ts";
import { asKeyturnError, KeyturnError } from "./errors.ts";
import { fingerprintFields } from "./fingerprint.ts";
import { finishImport, isOtherName } from "./finish-import.ts";
import type { Outcome } from "./outcome.ts";
import type { StoredSecret } from "./ports.ts";
import type { Rotation } from "./record.ts";
import { refusalsBelieved } from "./rotation.ts";
import type { Change, RawContext } from "./rotator.ts";
import type { Secret } from "./secret.ts";
import { proveRefused, settle } from "./settle.ts";
import { changeOf, contextOf, fingerprintOf, markOf, protect, read, required, type Stand } from "./stand.ts";
import { isCompromised, rotationOf } from "./transition.ts";

/** Carries out one step. Every way of failing throws. */
export async function perform(
  action: Extract<Action, { do: "step" | "settle" }>,
  stand: Stand,
): Promise<Outcome> {
  if (action.do === "settle") return settle(stand, action.debt, action.asks);
  const rotation = rotationOf(stand.record.state);
  if (rotation === undefined) throw new KeyturnError("internal", `${action.step} without a rotation`);
  switch (action.step) {
    case "create":
      return create(stand, rotation);
    case "set":
      return set(stand, rotation);
    case "test":
      return test(stand, rotation);
    case "finish":
      return finish(stand, rotation);
    case "announce":
      return announce(stand, rotation);
    case "undo":
      return undo(stand, rotation);
    case "confirm":
      return confirm(stand, rotation);
  }
}

async function create(stand: Stand, rotation: Rotation): Promise<Outcome> {
  const { ports, rotator, record } = stand;
  const { ref } = record;
  // Nobody of a rotation that was overtaken can save a candidate from here on.
  for (const version of rotation.aside ?? []) await ports.store.discardPending(ref, version);
  // What a provider has made is looked for whoever put it there, for it is not made twice; any other value may be made in vain.
  const found = await read(stand, rotator.mints ? "pending" : { pendingFor: rotation.id });
  // With the administering login: a store may read both by one call.
  const [current, context] = await Promise.all([
    read(stand, "current"),
    contextOf(stand, rotation.id, rotation.restores?.fingerprint ?? ""),
  ]);
  if (found !== undefined && found.version !== rotation.id) {
    // Told by versions, which are never used twice: whoever goes on from an old record may find the candidate of a newer rotation, with a value that it knows.
    const known = record.debts.some((debt) => debt.version === found.version);
    const promoted = found.version === current?.version;
    if (!known && !promoted) {
      return { step: "create", result: "foreign", pending: markOf(stand, found) };
    }
  }
  const isRenamed = current !== undefined && (await isOtherName(stand, current));
  if (current !== undefined) await finishImport(stand, rotation, current, isRenamed);
  let saved = found?.version === rotation.id ? found : undefined;
  if (saved === undefined) {
    const value = await candidate(stand, rotation, current, context);
    // Only now: in an old journal what another rotation has left pending may be what works.
    if (found !== undefined) await ports.store.discardPending(ref, found.version);
    saved = await ports.store.savePending(ref, rotation.id, value);
  }
  protect(stand, saved.value);
  const fields = fingerprintFields(rotator.findableFields(saved.value), ports.fingerprinter);
  await ports.journal.remember(ref, saved.version, fields);
  return {
    step: "create",
    result: "saved",
    pending: markOf(stand, saved),
    current: current && markOf(stand, current),
    ...(isRenamed ? { isRenamed } : {}),
  };
}

/** The next value. Whatever the dry run finds wrong ends the rotation here, before it has changed anything. */
async function candidate(
  stand: Stand,
  rotation: Rotation,
  current: StoredSecret | undefined,
  context: RawContext,
): Promise<Secret> {
  const { rotator } = stand;
  if (!rotation.urgent) {
    const wrong = (await rotator.preflight(context)).filter((finding) => !finding.ok);
    if (wrong.length > 0) {
      const list = wrong.map((finding) => `${finding.check}: ${finding.message}`).join("; ");
      const [code, ...others] = new Set(wrong.map((finding) => finding.code));
      const known = others.length === 0 ? code : undefined;
      throw new KeyturnError(known ?? "target-rejected", `not ready for a rotation: ${list}`);
    }
  }
  if (rotation.restores !== undefined) return (await required(stand, rotation.restores)).value;
  await rotator.sweep(context);
  return rotator.create(current?.value, context);
}

async function set(stand: Stand, rotation: Rotation): Promise<Outcome> {
  await stand.rotator.set(...(await workOf(stand, rotation)));
  return { step: "set", result: "done" };
}

async function test(stand: Stand, rotation: Rotation): Promise<Outcome> {
  await stand.rotator.test(...(await workOf(stand, rotation)));
  return { step: "test", result: "done" };
}

/** All at once: a store may read several secrets by one call. */
async function workOf(stand: Stand, rotation: Rotation): Promise<[Change<Secret>, RawContext]> {
  const context = contextOf(stand, rotation.id, rotation.pending?.fingerprint ?? "");
  return Promise.all([changeOf(stand, rotation), context]);
}

async function finish(stand: Stand, rotation: Rotation): Promise<Outcome> {
  const { ports, record } = stand;
  await ports.store.promote(record.ref, rotation.id, rotation.previous?.version);
  return { step: "finish", result: "done" };
}

async function announce(stand: Stand, rotation: Rotation): Promise<Outcome> {
  const { ports, record } = stand;
  const { id: version, previous, urgent } = rotation;
  const data = { epoch: record.epoch, version, previous: previous?.version, urgent };
  const draft = { type: "dev.keyturn.secret.rotated.v1", step: "rotated", data } as const;
  await ports.bus.publish(envelope(ports.installation, record, draft, ports.clock.now()));
  return { step: "announce", result: "done" };
}

/** Makes the target refuse the candidate, proves it, and only then puts it aside. A value that may be live is never dropped. */
async function undo(stand: Stand, rotation: Rotation): Promise<Outcome> {
  const { ports, rotator, record } = stand;
  // Only its version is asked for: whatever value it has, a candidate that was never saved is put aside.
  const current = await ports.store.read(record.ref, "current");
  // A finish that halted may have promoted it: nobody can take that back, and only forward does everything find its end.
  if (current?.version === rotation.id) return { step: "undo", result: "published" };
  const saved = await ports.store.read(record.ref, { version: rotation.id });
  const isCurrents = rotation.restores?.fingerprint === record.current?.fingerprint;
  const isShared = rotation.restores !== undefined && (isCurrents || rotator.overlap === "both-live");
  // The value that a rollback wanted back was the fleet's before, and still is: only its new version is put aside.
  const refuses = saved !== undefined && !(isShared && !isCompromised(record, rotation.restores));
  if (refuses) await takeBack(stand, rotation, { saved, current });
  for (const version of [...(rotation.aside ?? []), rotation.id]) {
    await ports.store.discardPending(record.ref, version);
  }
  if (refuses) await ports.store.disable(record.ref, rotation.id);
  return { step: "undo", result: "done" };
}

async function takeBack(
  stand: Stand,
  rotation: Rotation,
  { saved, current }: { readonly saved: StoredSecret; readonly current: StoredSecret | undefined },
): Promise<void> {
  const { rotator, record } = stand;
  protect(stand, saved.value);
  if (current !== undefined) protect(stand, current.value);
  if (current?.value.equals(saved.value) === true) {
    throw new KeyturnError(
      "request-refused",
      `${rotation.id} is current in the store: it cannot be taken back any more`,
    );
  }
  const context = await contextOf(stand, rotation.id, fingerprintOf(stand, saved.value));
  if (rotator.overlap === "cutover" && current !== undefined) await setBack(stand, rotation, current, saved);
  // What a rollback wanted back keeps its sessions: they are the fleet's, in the grace that goes on.
  const isFleets = rotation.restores !== undefined && !isCompromised(record, rotation.restores);
  if (!isFleets) await rotator.retire(saved.value, context);
  await proveRefused(stand, saved, context);
}

/** A cutover type refuses the candidate by accepting current again. A real login proves it; whatever else was wrong with the candidate is not asked of current. */
async function setBack(
  stand: Stand,
  rotation: Rotation,
  current: StoredSecret,
  saved: StoredSecret,
): Promise<void> {
  const context = await contextOf(stand, rotation.id, fingerprintOf(stand, current.value));
  await stand.rotator.set({ pending: current.value, current: saved.value }, context);
  if ((await stand.rotator.refused(current.value, context)) === "accepted") return;
  throw new KeyturnError("not-proven", `${current.version} was set back, and the target does not accept it`);
}

async function confirm(stand: Stand, rotation: Rotation): Promise<Outcome> {
  const { record } = stand;
  if (await works(stand, rotation.id)) return { step: "confirm", result: "works" };
  const refusals = record.state.phase === "grace" ? record.state.refusals + 1 : 0;
  const old = refusals >= refusalsBelieved ? rotation.previous : undefined;
  const previousWorks = old !== undefined && (await works(stand, old.version));
  return { step: "confirm", result: "refused", previousWorks };
}

/** True: it logs in. False: the target refuses it. Anything else is no answer, and throws. */
async function works(stand: Stand, version: string): Promise<boolean> {
  const stored = await required(stand, { version });
  const context = await contextOf(stand, version, fingerprintOf(stand, stored.value));
  try {
    await stand.rotator.test({ pending: stored.value, current: undefined }, context);
    return true;
  } catch (thrown) {
    if (asKeyturnError(thrown).code === "login-refused") return false;
    throw thrown;
  }
}
