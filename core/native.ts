import { commit } from "./commit.ts";
import { type Driven, patienceMs } from "./driven.ts";
import { asKeyturnError, type ErrorCode, KeyturnError } from "./errors.ts";
import { inquire } from "./inquire.ts";
import { answerCreate, isAtRest, type NativeAnswer, type Place, placeOf } from "./native-request.ts";
import type { Failure } from "./outcome.ts";
import type { Loaded, Ports } from "./ports.ts";
import { readOnly } from "./read-only.ts";
import { managedSecret, type Reconciled, type ReconcileOptions, reconcile } from "./reconcile.ts";
import type { RotationRecord } from "./record.ts";
import { contextOf, fingerprintOf, read } from "./stand.ts";

/** The steps that Secrets Manager asks for, in its order. */
export const nativeSteps = ["create", "set", "test", "finish"] as const;
export type NativeStep = (typeof nativeSteps)[number];

export interface NativeCall {
  readonly step: NativeStep;
  readonly ref: string;
  /** ClientRequestToken: the id of the version, and so of the rotation. */
  readonly token: string;
}

export interface NativeOptions extends Pick<ReconcileOptions, "observe" | "trace"> {
  /** Nothing is waited for beyond this time, and no step begins after it. */
  readonly until: number;
}

/** Another worker may be done with its step at any moment. */
const lookMs = 500;

/**
 * Carries out one step of a rotation that Secrets Manager drives, on the record and by the rules of every other rotation. Returns when the step is
 * done, now or before; whatever is in its way throws, and leaves the current value as it was. Every step may be asked for again, at any time.
 */
export async function nativeStep(call: NativeCall, ports: Ports, options: NativeOptions): Promise<void> {
  const run = new NativeRun(call, ports, options);
  return call.step === "create" ? run.create() : run.goOn();
}

class NativeRun {
  readonly #call: NativeCall;
  readonly #ports: Ports;
  readonly #options: NativeOptions;
  /** What the last step that failed came to. */
  #failure: Failure | undefined;

  constructor(call: NativeCall, ports: Ports, options: NativeOptions) {
    this.#call = call;
    this.#ports = ports;
    this.#options = options;
  }

  /** createSecret: the table says what it comes to. */
  async create(): Promise<void> {
    const { ref, token } = this.#call;
    for (let tried = false; ; ) {
      const loaded = await this.#load();
      const answered = await this.#answer(loaded.record, tried);
      switch (answered.answer) {
        case "done":
          return;
        case "joined":
          return this.#carryOut("create");
        case "began":
          if (await this.#saved(loaded, answered)) return this.#carryOut("create");
          continue;
        case "first":
          if (await this.#saved(loaded, answered)) tried = await this.#clearTheWay();
          continue;
        case "busy":
        case "refused": {
          // First: what is recorded as put aside is so. AWS begins no rotation while an empty version is pending.
          const { at } = placeOf(loaded.record, token);
          if (at === "elsewhere" || at === "closed") await this.#ports.store.discardPending(ref, token);
          if (await this.#saved(loaded, answered)) throw this.#error(answered.why);
        }
      }
    }
  }

  /** The other three: only the rotation of this very token goes on. */
  async goOn(): Promise<void> {
    const { step, token } = this.#call;
    const { record } = await this.#load();
    const place = placeOf(record, token);
    if (place.at === "published") return;
    if (place.at === "elsewhere" && step === "test" && isAtRest(record.state)) return this.#dryRun(record);
    if (place.at !== "ahead") throw this.#error(whyNot(place, token));
    const order = orderOf(place.phase) - orderOf(step);
    if (order > 0) return;
    if (order < 0) throw this.#error(`${place.phase} of ${token} comes first`);
    return this.#carryOut(step === "finish" ? "announce" : step);
  }

  async #load(): Promise<Loaded> {
    const { ref } = this.#call;
    managedSecret(this.#ports, ref);
    const loaded = await this.#ports.journal.load(ref);
    if (loaded !== undefined) return loaded;
    throw new KeyturnError("secret-missing", `${ref} is not under Keyturn yet: import it first`);
  }

  async #answer(record: RotationRecord, tried: boolean): Promise<NativeAnswer> {
    const { policy, type } = managedSecret(this.#ports, record.ref);
    const { overlap } = await this.#ports.rotators.load(type);
    const now = this.#ports.clock.now();
    return answerCreate(record, { policy, overlap, now, newId: this.#call.token, tried });
  }

  /** False: the record has moved meanwhile. What has changed is looked at by a worker at once; what begins is left to whoever asked. */
  async #saved(loaded: Loaded, answered: NativeAnswer): Promise<boolean> {
    if (answered.record === loaded.record) return true;
    const { record, answer } = answered;
    const patience = answer === "began" ? patienceMs(managedSecret(this.#ports, record.ref).policy) : 0;
    const dueAt = this.#ports.clock.now() + patience;
    try {
      await commit(this.#ports, loaded.revision, { ...answered, record: { ...record, dueAt } }, this.#worker);
      return true;
    } catch (thrown) {
      if (asKeyturnError(thrown).code === "conflict") return false;
      throw thrown;
    }
  }

  /** Takes back what is under way, or pays what is owed. False: another worker is at it, and it is worth while to look again. */
  async #clearTheWay(): Promise<boolean> {
    const { clock } = this.#ports;
    const { result } = await this.#reconcile("create");
    if (result !== "busy" || clock.now() + lookMs >= this.#options.until) return true;
    await clock.sleep(lookMs);
    return false;
  }

  /** Returns when the step is done; throws when that cannot be within the time of this call. */
  async #carryOut(through: Driven["through"]): Promise<void> {
    const { step, token } = this.#call;
    const { clock } = this.#ports;
    for (;;) {
      const { record, result, until } = await this.#reconcile(through);
      const place = placeOf(record, token);
      if (place.at === "published") return;
      if (place.at !== "ahead") throw this.#error(whyNot(place, token));
      if (orderOf(place.phase) > orderOf(step)) return;
      const now = clock.now();
      const again = result === "busy" ? now + lookMs : Math.max(until ?? now, now + 1);
      if (result === "paused" || again >= this.#options.until)
        throw this.#error("it goes on by itself", "timeout");
      await clock.sleep(again - now);
    }
  }

  #reconcile(through: Driven["through"]): Promise<Reconciled> {
    const { observe, trace, until } = this.#options;
    return reconcile(this.#call.ref, this.#ports, {
      worker: this.#worker,
      // One call at a time: another's lease on this secret is that of one that is over.
      isGone: (worker) => worker.startsWith(workers),
      driven: { rotation: this.#call.token, through },
      until,
      ...(observe === undefined ? {} : { observe }),
      trace: async (step, carryOut) => {
        const outcome = await (trace?.(step, carryOut) ?? carryOut());
        if (outcome.result === "failed" && outcome.step !== "settle") this.#failure = outcome;
        return outcome;
      },
    });
  }

  /** Of all calls with this token: one that died has left its lease to the next. */
  get #worker(): string {
    return `${workers}${this.#call.token}`;
  }

  /** TestRotation, and a rotation that is set up without being begun: the current value is tried, and nothing changes. */
  async #dryRun(known: RotationRecord): Promise<void> {
    await inquire(this.#call.ref, readOnly(this.#ports), known, async (stand) => {
      const { rotator, record } = stand;
      const current = await read(stand, "current");
      if (current === undefined)
        throw new KeyturnError("secret-missing", `${record.ref} has no current value`);
      const context = await contextOf(stand, current.version, fingerprintOf(stand, current.value));
      const wrong = (await rotator.preflight(context)).filter(({ ok }) => !ok);
      if (wrong.length > 0) {
        const list = wrong.map(({ check, message }) => `${check}: ${message}`).join("; ");
        throw new KeyturnError("target-rejected", `not ready for a rotation: ${list}`);
      }
      await rotator.test({ pending: current.value, current: undefined }, context);
    });
  }

  /** Where a step failed, that is what is said; `why` is what became of it. */
  #error(why: string, code: ErrorCode = "request-refused"): KeyturnError {
    const { step, ref } = this.#call;
    if (this.#failure === undefined) return new KeyturnError(code, `${step}Secret of ${ref}: ${why}`);
    const { code: failed, message } = this.#failure;
    return new KeyturnError(failed, `${step}Secret of ${ref}: ${failed}: ${message}; ${why}`);
  }
}

/** What the leases of all calls of Secrets Manager begin with. */
const workers = "secrets-manager/";

/** finishSecret announces as well. */
function orderOf(step: NativeStep | "announce"): number {
  return nativeSteps.indexOf(step === "announce" ? "finish" : step);
}

function whyNot(place: Place, token: string): string {
  switch (place.at) {
    case "undone":
      return `${token} is being taken back: ${place.why}`;
    case "halted":
      return `halted: ${place.why}`;
    case "closed":
      return `${token} was taken back, or put aside`;
    case "ahead":
    case "published":
    case "elsewhere":
      return `${token} is not under way`;
  }
}
