import { commit } from "./commit.ts";
import { asKeyturnError, KeyturnError } from "./errors.ts";
import { fingerprintFields } from "./fingerprint.ts";
import { viewFleet } from "./fleet.ts";
import { newId } from "./identifier.ts";
import { objectionTo } from "./intervene.ts";
import { asLeaked } from "./leaked-login.ts";
import type { ManagedSecret, Ports } from "./ports.ts";
import { managedSecret } from "./reconcile.ts";
import { newRecord, type RotationRecord, type VersionMark } from "./record.ts";
import { type Answer, answer, type Request } from "./request.ts";
import { previousNames } from "./same-login.ts";
import type { Secret } from "./secret.ts";
import { rotationOf, type Surroundings, stay } from "./transition.ts";

export interface RequestOptions {
  /** What `reconcile` is told by its `begin`: a rotation that could begin at once is wished for, and begins when a worker has told who begins it. */
  readonly beginsElsewhere?: boolean;
  /** Who asks may not read the administering login: whoever carries it out finds what is wrong with that. */
  readonly sparesAdmin?: boolean;
}

/**
 * Records a request, whoever is at work: only the record changes, so it is done at once. `reconcile` carries it out.
 * The first request for a secret puts it under Keyturn.
 */
export async function request(
  ref: string,
  ports: Ports,
  what: Request,
  { beginsElsewhere = false, sparesAdmin = false }: RequestOptions = {},
): Promise<Answer> {
  const managed = managedSecret(ports, ref);
  const { overlap } = await ports.rotators.load(managed.type);
  // An emergency is never kept waiting by a check: whatever is wrong shows when it is carried out.
  if (what.kind === "rotate" || what.kind === "rollback") await assertReady(managed, ports, sparesAdmin);
  for (;;) {
    const loaded = await ports.journal.load(ref);
    const known = loaded?.record ?? (await firstRecord(ref, ports));
    const record = what.kind === "emergency" ? await asLeaked(known, what.version, ports) : known;
    const around: Surroundings = {
      policy: managed.policy,
      overlap,
      now: ports.clock.now(),
      newId: newId(ports.random),
      beginsElsewhere,
    };
    const objection = await objectionOf(record, what, managed, ports);
    if (objection !== undefined) return { ...stay(record), answer: "refused", why: objection };
    const answered = answer(record, what, around);
    if (answered.record === known) return answered;
    try {
      const due = { ...answered, record: { ...answered.record, dueAt: around.now } };
      const saved = await commit(ports, loaded?.revision, due, what.by);
      return { ...answered, record: saved.record };
    } catch (thrown) {
      if (asKeyturnError(thrown).code !== "conflict") throw thrown;
    }
  }
}

/** Ending a grace by hand cuts off whoever still needs the old credential: that is said first. */
async function objectionOf(
  record: RotationRecord,
  what: Request,
  { policy }: ManagedSecret,
  { journal, clock }: Ports,
): Promise<string | undefined> {
  if (what.kind !== "retire" || what.insist) return undefined;
  const now = clock.now();
  const versions = {
    old: previousNames(record, rotationOf(record.state)),
    new: record.current?.version ?? "",
  };
  const fleet = viewFleet(await journal.agents(record.ref), versions, policy, now);
  const objection = objectionTo(record, fleet, now);
  return objection && `${objection}; insist to cut it off nevertheless`;
}

/** What a rotation would stumble over at once is told before it begins: the manifest's config and the stored values. */
async function assertReady(managed: ManagedSecret, ports: Ports, sparesAdmin: boolean): Promise<void> {
  const { ref, type, config, admin } = managed;
  const rotator = await ports.rotators.load(type);
  named(ref, () => rotator.checkConfig(config));
  if (admin !== undefined && !sparesAdmin) {
    const login = await ports.store.read(admin, "current");
    if (login === undefined) {
      throw new KeyturnError("secret-missing", `the administering login ${admin} of ${ref} is not stored`);
    }
    named(admin, () => rotator.checkAdmin(login.value));
  }
  if (admin === undefined && rotator.needsAdmin) {
    throw new KeyturnError(
      "config-invalid",
      `${ref} names no administering login: write \`admin: { secret: … }\``,
    );
  }
  const current = await ports.store.read(ref, "current");
  if (current !== undefined) named(ref, () => rotator.checkCredential(current.value));
}

/** Says of which secret the check speaks. */
function named(ref: string, check: () => void): void {
  try {
    check();
  } catch (thrown) {
    const { code, message } = asKeyturnError(thrown);
    throw new KeyturnError(code, `${ref}: ${message}`, { cause: thrown });
  }
}

/** What the store says of a secret that the journal does not know: nothing yet, or a value that somebody put there. */
async function firstRecord(ref: string, ports: Ports): Promise<RotationRecord> {
  const record = newRecord(ref);
  const current = await ports.store.read(ref, "current");
  if (current === undefined) return record;
  const fingerprint = ports.fingerprinter.fingerprint(current.value.reveal());
  return { ...record, current: { version: current.version, fingerprint, since: current.createdAt } };
}

/** An emergency for a version by its id; for "current", "pending" or "previous", what holds that stage now. */
export async function versionMark(ref: string, ports: Ports, which: string): Promise<VersionMark> {
  const staged = which === "current" || which === "pending" || which === "previous";
  const stored = await ports.store.read(ref, staged ? which : { version: which });
  if (stored === undefined) throw new KeyturnError("secret-missing", `${ref} has no version ${which}`);
  return { version: stored.version, fingerprint: ports.fingerprinter.fingerprint(stored.value.reveal()) };
}

/** Stores a value that a person brings as current, in one step, without any target being asked. `fields` can be found again when they leak. */
export async function storeValue(
  ref: string,
  ports: Ports,
  value: Secret,
  fields: Readonly<Record<string, Secret>>,
): Promise<string> {
  const version = newId(ports.random);
  const current = await ports.store.read(ref, "current");
  const pending = await ports.store.read(ref, "pending");
  // What is only held has no rotation: its pending value is what an earlier attempt that died has left.
  if (pending !== undefined && ports.secrets.get(ref) === undefined) {
    await ports.store.discardPending(ref, pending.version);
  }
  await ports.store.savePending(ref, version, value);
  await ports.store.promote(ref, version, current?.version);
  await ports.journal.remember(ref, version, fingerprintFields(fields, ports.fingerprinter));
  return version;
}

/**
 * Lets schedules begin by themselves that are new, or come sooner than before. A secret of which the journal knows no value waits
 * for the first request: whether its target may be touched is a person's word. What is not at rest finds its time when it is.
 */
export async function enrolSchedules(ports: Ports): Promise<void> {
  for (const ref of ports.secrets.refs()) {
    const schedule = ports.secrets.get(ref)?.policy.schedule;
    const loaded = schedule && (await ports.journal.load(ref));
    if (schedule === undefined || loaded?.record.current === undefined) continue;
    const { record } = loaded;
    const next = schedule.next(loaded.record.current.since, ports.clock.now());
    const dueAt = Math.max(next, record.scheduleNotBefore);
    if (record.state.phase !== "idle" || (record.dueAt !== null && record.dueAt <= dueAt)) continue;
    const due = stay({ ...record, dueAt });
    await commit(ports, loaded.revision, due, "keyturn").catch((thrown: unknown) => {
      // Somebody works on it at this moment, and sees to its time.
      if (asKeyturnError(thrown).code !== "conflict") throw thrown;
    });
  }
}

/** Agents that were silent for this long are not even worth naming any more. */
const forgetAfterMs = 7 * 86_400_000;

/** Drops what agents said that have long gone, so that hosts that come and go leave nothing behind. */
export async function forgetSilentAgents({ secrets, journal, clock }: Ports): Promise<void> {
  for (const ref of secrets.refs()) await journal.forgetAgents(ref, clock.now() - forgetAfterMs);
}
