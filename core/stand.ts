import { adminOf, otherAdmins } from "./admin.ts";
import { KeyturnError } from "./errors.ts";
import type { ManagedSecret, Ports, StoredSecret, Which } from "./ports.ts";
import type { Rotation, RotationRecord, VersionMark } from "./record.ts";
import { type Redactor, redactingLog } from "./redact.ts";
import type { Change, RawContext, Rotator } from "./rotator.ts";
import type { Secret } from "./secret.ts";
import type { Session } from "./session.ts";
import { rotationOf } from "./transition.ts";

/** Where a step happens. */
export interface Stand {
  readonly ports: Ports;
  readonly managed: ManagedSecret;
  readonly rotator: Rotator;
  readonly record: RotationRecord;
  readonly session: Session;
  readonly redactor: Redactor;
}

/** The candidate, as it was saved, and what it takes over from. */
export async function changeOf(stand: Stand, rotation: Rotation): Promise<Change<Secret>> {
  const [pending, current] = await Promise.all([read(stand, "pending"), read(stand, "current")]);
  if (
    pending?.version !== rotation.id ||
    fingerprintOf(stand, pending.value) !== rotation.pending?.fingerprint
  ) {
    throw new KeyturnError(
      "pending-lost",
      `the store no longer has the candidate ${rotation.id} as it was saved`,
    );
  }
  return { pending: pending.value, current: current?.value };
}

export async function required(stand: Stand, mark: Pick<VersionMark, "version">): Promise<StoredSecret> {
  const stored = await stand.ports.store.read(stand.record.ref, { version: mark.version });
  if (stored === undefined) {
    throw new KeyturnError(
      "secret-missing",
      `the store has no version ${mark.version} of ${stand.record.ref}`,
    );
  }
  protect(stand, stored.value);
  return stored;
}

export async function read(stand: Stand, which: Which): Promise<StoredSecret | undefined> {
  const stored = await stand.ports.store.read(stand.record.ref, which);
  if (stored !== undefined) protect(stand, stored.value);
  return stored;
}

/** From here on no text that leaves this run can hold the value. */
export function protect(stand: Stand, value: Secret): void {
  stand.redactor.add(value);
  for (const field of Object.values(stand.rotator.secretFields(value))) stand.redactor.add(field);
}

export function markOf(stand: Stand, stored: StoredSecret): VersionMark {
  return { version: stored.version, fingerprint: fingerprintOf(stand, stored.value) };
}

/** The one by which the record knows the value; else by the newest key, which may have come after the value was recorded. */
export function fingerprintOf({ ports, record }: Stand, value: Secret): string {
  const rotation = rotationOf(record.state);
  const marks = [record.current, rotation?.pending, rotation?.previous, rotation?.restores, ...record.debts];
  const known = new Set(marks.map((mark) => mark?.fingerprint));
  const text = value.reveal();
  return (
    ports.fingerprinter.candidates(text).find((each) => known.has(each)) ??
    ports.fingerprinter.fingerprint(text)
  );
}

export async function contextOf(stand: Stand, rotationId: string, fingerprint: string): Promise<RawContext> {
  const { ports, managed, record, session, redactor } = stand;
  const admin = await adminOf(stand);
  return {
    config: managed.config,
    admin: admin?.value,
    nextAdmin: otherAdmins(stand, admin),
    fence: {
      installation: ports.installation,
      ref: record.ref,
      rotationId,
      epoch: record.epoch,
      fingerprint,
    },
    urgent: rotationOf(record.state)?.urgent === true,
    clock: ports.clock,
    random: ports.random,
    log: redactingLog(ports.log, redactor),
    signal: session.signal,
    defer: session.defer,
  };
}
