import { asAdmin } from "./admin.ts";
import { commit } from "./commit.ts";
import { asKeyturnError, KeyturnError } from "./errors.ts";
import { fingerprintFields } from "./fingerprint.ts";
import { newId } from "./identifier.ts";
import type { Loaded, Ports, SecretStore, StoredSecret } from "./ports.ts";
import { claim, Publishing } from "./publishing.ts";
import { managedSecret } from "./reconcile.ts";
import { newRecord, type RotationRecord } from "./record.ts";
import { Redactor, redactingLog } from "./redact.ts";
import type { Finding, RawContext, Rotator } from "./rotator.ts";
import { alsoNamed } from "./same-login.ts";
import type { Secret } from "./secret.ts";
import { Session } from "./session.ts";
import { contextOf, protect, type Stand } from "./stand.ts";
import { isCompromised, stay } from "./transition.ts";

export interface Adopted {
  /** `known`: it was imported before, and nothing was done. */
  readonly answer: "imported" | "known";
  readonly version: string;
  readonly record: RotationRecord;
  /** Whether a leak of it can be found by its fingerprint. */
  readonly findable: boolean;
}

/** Another import of the secret may move first; it is looked at again then, so often. */
const triesMax = 10;

/**
 * Brings an existing credential under Keyturn without resetting it: it has to log in, becomes the store's current, is marked as managed at
 * the target, and only then is in the record. Whoever dies at any line does it again: every part finds out whether it is done.
 * Refused, with nothing changed, where the secret has another current value already, or is in the middle of something.
 */
export async function adopt(ref: string, ports: Ports, value: Secret, by: string): Promise<Adopted> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await within(ref, ports, value, (adoption) => adoption.carryOut(by));
    } catch (thrown) {
      if (asKeyturnError(thrown).code !== "conflict" || tries >= triesMax) throw thrown;
    }
  }
}

/** What an import would find, and whether the value logs in. Reads only; an outage throws. */
export async function adoptable(ref: string, ports: Ports, value: Secret): Promise<readonly Finding[]> {
  return within(ref, ports, value, (adoption) => adoption.look());
}

async function within<Result>(
  ref: string,
  ports: Ports,
  value: Secret,
  work: (adoption: Adoption) => Promise<Result>,
): Promise<Result> {
  const managed = managedSecret(ports, ref);
  const rotator = await ports.rotators.load(managed.type);
  rotator.checkConfig(managed.config);
  rotator.checkCredential(value);
  const redactor = new Redactor();
  const session = new Session();
  const loaded = await ports.journal.load(ref);
  const record = loaded?.record ?? newRecord(ref);
  const log = redactingLog(ports.log, redactor);
  const store = managed.admin === ref ? asAdmin(ref, ports.store, value) : ports.store;
  const stand: Stand = { ports: { ...ports, log, store }, managed, rotator, record, session, redactor };
  protect(stand, value);
  try {
    return await session.within(ports.clock, managed.policy.stepDeadlineMs, `the import of ${ref}`, () =>
      work(new Adoption(stand, ports.store, loaded, value)),
    );
  } catch (thrown) {
    const error = asKeyturnError(thrown);
    await session.close(error);
    throw new KeyturnError(error.code, redactor.redact(error.message));
  } finally {
    await session.close();
  }
}

class Adoption {
  readonly #stand: Stand;
  readonly #stored: SecretStore;
  readonly #loaded: Loaded | undefined;
  readonly #value: Secret;
  /** What the value's fingerprint is or was, by every key that there is. */
  readonly #candidates: readonly string[];

  constructor(stand: Stand, stored: SecretStore, loaded: Loaded | undefined, value: Secret) {
    this.#stand = stand;
    this.#stored = stored;
    this.#loaded = loaded;
    this.#value = value;
    this.#candidates = stand.ports.fingerprinter.candidates(value.reveal());
  }

  async look(): Promise<readonly Finding[]> {
    const { rotator } = this.#stand;
    // Whatever keeps the marks from being read is among the findings.
    const { epoch } = await this.#standing().catch(() => this.#stand.record);
    const context = await this.#context("", "", epoch);
    const findings = [...(await rotator.preflight(context, this.#value))];
    const fits = await this.#objection();
    findings.push({
      check: "record",
      ok: fits === undefined,
      message: fits ?? "free, or has this value already",
      code: "request-refused",
    });
    try {
      await this.#prove();
      findings.push({ check: "value", ok: true, message: "logs in" });
    } catch (thrown) {
      const { code, message, disposition } = asKeyturnError(thrown);
      if (disposition === "retry") throw thrown;
      findings.push({ check: "value", ok: false, message, code });
    }
    return findings;
  }

  async carryOut(by: string): Promise<Adopted> {
    const { rotator, record, ports } = this.#stand;
    const { adopt: mark } = rotator;
    if (mark === undefined) {
      throw new KeyturnError("request-refused", `type ${rotator.type} cannot take over what is there`);
    }
    const { epoch, fingerprint, isMarked } = await this.#standing();
    const known = this.#known();
    const fields = fingerprintFields(rotator.findableFields(this.#value), ports.fingerprinter);
    const findable = Object.keys(fields).length > 0;
    if (known !== undefined && isMarked) return { answer: "known", version: known.version, record, findable };
    const objection = await this.#objection();
    if (objection !== undefined) throw new KeyturnError("request-refused", objection);
    await this.#assertReady(epoch);
    await this.#prove();
    const candidate = newId(ports.random);
    const { ref } = record;
    const revision = this.#loaded?.revision;
    const names = await this.#names();
    const named = alsoNamed(record, candidate, ...names);
    const claimed = await claim(ports.journal, named, { version: candidate, epoch, revision });
    const publishing = new Publishing(ports.journal, this.#stored, { ref, revision: claimed.revision });
    // Imports before this one can save nothing from here on.
    for (const other of record.importing ?? []) await this.#stored.discardPending(ref, other);
    const { version } = await this.#store(publishing, candidate, names);
    await ports.journal.remember(ref, version, fields);
    await this.#mark(mark, await this.#context(version, fingerprint, epoch));
    await publishing.assertCurrent(version);
    const now = ports.clock.now();
    const current = { version, fingerprint, since: now };
    const adopted = { ...claimed.record, importing: undefined, current, dueAt: now };
    const note = { action: "imported", detail: "as it was, without a reset", version, actor: by };
    const saved = await commit(ports, claimed.revision, stay(adopted, note), by);
    return { answer: "imported", version, record: saved.record, findable };
  }

  /** By which the fleet may know the login already. What is current by the record is the same one, or there is no import. */
  async #names(): Promise<readonly string[]> {
    const { ref, current } = this.#stand.record;
    const stored = await this.#stored.read(ref, "current");
    const known = current === undefined ? [] : [current.version];
    return stored !== undefined && this.#isSame(stored.value) === true ? [...known, stored.version] : known;
  }

  #context(version = "", fingerprint = "", epoch = this.#stand.record.epoch): Promise<RawContext> {
    const stand = { ...this.#stand, record: { ...this.#stand.record, epoch } };
    return contextOf(
      stand,
      version,
      fingerprint || this.#stand.ports.fingerprinter.fingerprint(this.#value.reveal()),
    );
  }

  /**
   * The fingerprint and the epoch to mark it with. Whatever the record, or a mark that this installation has left there before, has come to is
   * overtaken; only where there is no record yet may the very same mark be what is done already.
   */
  async #standing(): Promise<{ epoch: number; fingerprint: string; isMarked: boolean }> {
    const { rotator, record, ports } = this.#stand;
    const marks = (await rotator.inspect(await this.#context())) ?? [];
    const ours = marks.filter((mark) => mark.ref === record.ref && mark.installation === ports.installation);
    const same = ours.find((mark) => mark.verb === "set" && this.#candidates.includes(mark.fingerprint));
    const seen = Math.max(record.epoch, ...ours.map((mark) => mark.seen));
    const isFirst = this.#loaded === undefined && (same !== undefined || ours.length === 0);
    return {
      epoch: isFirst ? seen : seen + 1,
      fingerprint: same?.fingerprint ?? ports.fingerprinter.fingerprint(this.#value.reveal()),
      isMarked: same !== undefined,
    };
  }

  /** What is current by the record, if it is this very value. */
  #known(): RotationRecord["current"] {
    const { current } = this.#stand.record;
    return current !== undefined && this.#candidates.includes(current.fingerprint) ? current : undefined;
  }

  async #objection(): Promise<string | undefined> {
    const { record } = this.#stand;
    const { ref, state, current, debts } = record;
    const isLeaked = (fingerprint: string) => isCompromised(record, { version: "", fingerprint });
    const leaked = `this value of ${ref} is compromised: change it at its target by hand, and import the new one`;
    if (this.#candidates.some(isLeaked)) return leaked;
    if (
      current !== undefined &&
      this.#known() === undefined &&
      !(await this.#isInOtherWords(current.version))
    ) {
      return `${ref} is under Keyturn with another value, version ${current.version}: rotate it instead`;
    }
    if (isCompromised(record, current)) return leaked;
    if (state.phase !== "idle") return `${ref} is in ${state.phase}: import it when that has ended`;
    if (debts.length > 0) return `${ref} has debts, which are paid first; \`keyturn status ${ref}\` has them`;
    return undefined;
  }

  async #assertReady(epoch: number): Promise<void> {
    const { rotator } = this.#stand;
    const findings = await rotator.preflight(await this.#context("", "", epoch), this.#value);
    const wrong = findings.filter((finding) => !finding.ok);
    if (wrong.length === 0) return;
    const list = wrong.map((finding) => `${finding.check}: ${finding.message}`).join("; ");
    const [code, ...others] = new Set(wrong.map((finding) => finding.code));
    const known = others.length === 0 ? code : undefined;
    throw new KeyturnError(known ?? "target-rejected", `not ready for an import: ${list}`);
  }

  async #prove(): Promise<void> {
    await this.#stand.rotator.test({ pending: this.#value, current: undefined }, await this.#context());
  }

  /** Whoever has claimed the record since may have marked it already, at the same epoch or beyond: it is looked at again. */
  async #mark(mark: NonNullable<Rotator["adopt"]>, context: RawContext): Promise<void> {
    try {
      await mark(this.#value, context);
    } catch (thrown) {
      const { code, message } = asKeyturnError(thrown);
      if (code !== "fence-conflict" && code !== "superseded") throw thrown;
      throw new KeyturnError("conflict", message);
    }
  }

  /** Current in the store, by whoever put it there. What somebody else has left pending makes room: nobody whom the record knows needs it. */
  async #store(
    publishing: Publishing,
    candidate: string,
    names: readonly string[],
  ): Promise<Pick<StoredSecret, "version">> {
    const { ref } = this.#stand.record;
    const current = await this.#stored.read(ref, "current");
    if (current !== undefined && this.#isSame(current.value) === true && !names.includes(current.version)) {
      throw new KeyturnError("conflict", `${ref} was stored by another import meanwhile`);
    }
    if (current?.value.equals(this.#value) === true) return current;
    if (current !== undefined) await this.#assertReplaceable(current);
    const pending = await this.#stored.read(ref, "pending");
    if (pending !== undefined) await publishing.putAside(pending.version);
    const saved = await this.#stored.savePending(ref, candidate, this.#value);
    await publishing.promote(candidate, current?.version);
    return saved;
  }

  /** A rotation that was refused has left the stored value in the record; it may be the same credential, without what an import adds. */
  async #isInOtherWords(version: string): Promise<boolean> {
    const stored = await this.#stand.ports.store.read(this.#stand.record.ref, { version });
    return stored !== undefined && this.#isSame(stored.value) === true;
  }

  /** Whether it is the same credential, in other words perhaps; undefined: none that the type can read. */
  #isSame(other: Secret): boolean | undefined {
    const { rotator, redactor } = this.#stand;
    redactor.add(other);
    try {
      rotator.checkCredential(other);
    } catch {
      return undefined;
    }
    protect(this.#stand, other);
    if (rotator.accountOf(other) !== rotator.accountOf(this.#value)) return false;
    const [theirs, mine] = [rotator.secretFields(other), rotator.secretFields(this.#value)];
    return Object.entries(mine).every(([name, field]) => theirs[name]?.equals(field) === true);
  }

  /** A value that somebody stored before makes room if it is the same credential in other words, or is dead. */
  async #assertReplaceable(current: StoredSecret): Promise<void> {
    const { rotator, record } = this.#stand;
    if (this.#isSame(current.value) !== false) return;
    const verdict = await rotator.refused(current.value, await this.#context(current.version));
    if (verdict === "refused") return;
    throw new KeyturnError(
      "request-refused",
      `${record.ref} has another value in the store, version ${current.version}, which its target may accept: import that one by --from-store`,
    );
  }
}
