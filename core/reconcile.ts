import { commit, flush } from "./commit.ts";
import { type Action, decide, needsFleet, type StepName, scheduled } from "./decide.ts";
import { beginsByItself, type Driven, leave, patienceMs } from "./driven.ts";
import { asKeyturnError, KeyturnError } from "./errors.ts";
import { type FleetView, viewFleet } from "./fleet.ts";
import { newId } from "./identifier.ts";
import type { Outcome } from "./outcome.ts";
import type { Loaded, ManagedSecret, Ports } from "./ports.ts";
import type { RotationRecord } from "./record.ts";
import { Redactor, redactingLog } from "./redact.ts";
import { next } from "./rotation.ts";
import type { Rotator } from "./rotator.ts";
import { previousNames } from "./same-login.ts";
import { Session } from "./session.ts";
import { perform } from "./steps.ts";
import { backoffMs, rotationOf, type Surroundings, stay, type Transition } from "./transition.ts";

export interface ReconcileOptions {
  /** Names this worker in leases and in the audit. */
  readonly worker: string;
  /** Whether a worker is known to be gone: its lease holds nobody. */
  readonly isGone?: (worker: string) => boolean;
  /** No new step begins after this time; the record stays due. */
  readonly until?: number;
  /** How often scheduled rotations may begin; courtesy to the targets, kept by whoever reconciles. Requests are never held up. */
  readonly quota?: { opensAt(now: number): number; took(now: number): void };
  /**
   * Asks whoever begins rotations on this platform to begin one, under an id of its own; false: nobody else does. Without it they begin here.
   * Not asked for rollbacks and emergencies.
   */
  readonly begin?: (record: RotationRecord) => Promise<boolean>;
  /** Takes the steps of one rotation only, so far and no further, and begins nothing by itself. */
  readonly driven?: Driven;
  /** Told of every change, after it is saved, with the record as it was before. */
  readonly observe?: (transition: Transition, before: RotationRecord) => void;
  /** Runs around every step: carries it out once, and gives back what it came to. */
  readonly trace?: (step: StepUnderWay, carryOut: () => Promise<Outcome>) => Promise<Outcome>;
}

/** A step that is about to be carried out; paying a debt is called `retire`. */
export interface StepUnderWay {
  readonly step: StepName | "retire";
  readonly managed: ManagedSecret;
  readonly record: RotationRecord;
}

/** How the log tells of it ends so, each time that it is asked for in vain: it can be counted, and a person called. */
export const didNotBegin = "its rotation did not begin";

/** Others look in this soon whether a worker still lives: on its own machine that can be told before its lease ends. */
const lookInMs = 5_000;

export interface Reconciled {
  /** `waiting`: nothing to do until `until`. `busy`: another worker is at it until then. `paused`: this worker's time ran short. */
  readonly result: "waiting" | "busy" | "paused";
  readonly until: number | undefined;
  readonly record: RotationRecord;
}

/**
 * Brings one secret as far as it goes now: looks at what is, decides, claims, acts, records, and again, until there is nothing to do or
 * a time to wait for. May run anywhere, any number of times, at once: of two that act on one state only one can record it.
 */
export async function reconcile(ref: string, ports: Ports, options: ReconcileOptions): Promise<Reconciled> {
  const managed = managedSecret(ports, ref);
  const rotator = await ports.rotators.load(managed.type);
  const run = new Run(ports, managed, rotator, options);
  try {
    return await run.toTheEnd();
  } finally {
    await run.close();
  }
}

export function managedSecret(ports: Ports, ref: string): ManagedSecret {
  const managed = ports.secrets.get(ref);
  if (managed !== undefined) return managed;
  throw new KeyturnError("input-invalid", `the manifest has no secret ${ref}`);
}

class Run {
  readonly #ports: Ports;
  readonly #managed: ManagedSecret;
  readonly #rotator: Rotator;
  readonly #options: ReconcileOptions;
  readonly #redactor = new Redactor();
  #session = new Session();
  #begin: ReconcileOptions["begin"];

  constructor(ports: Ports, managed: ManagedSecret, rotator: Rotator, options: ReconcileOptions) {
    this.#ports = { ...ports, log: redactingLog(ports.log, this.#redactor) };
    this.#managed = managed;
    this.#rotator = rotator;
    this.#options = options;
    this.#begin = options.begin;
  }

  async close(): Promise<void> {
    await this.#session.close();
  }

  async toTheEnd(): Promise<Reconciled> {
    for (;;) {
      const loaded = await this.#ports.journal.load(this.#managed.ref);
      if (loaded === undefined) {
        throw new KeyturnError("secret-missing", `${this.#managed.ref} is not under Keyturn yet`);
      }
      const ended = await this.#once(loaded).catch((thrown: unknown) => {
        if (asKeyturnError(thrown).code === "conflict") return undefined;
        throw thrown;
      });
      if (ended !== undefined) return ended;
    }
  }

  /** One decision and what follows from it. A conflict anywhere means that the record has moved: read again. */
  async #once(loaded: Loaded): Promise<Reconciled | undefined> {
    const { clock } = this.#ports;
    const other = this.#leaseOfOther(loaded.record);
    if (other !== undefined) return { result: "busy", until: other, record: loaded.record };
    const record = await flush(this.#ports, loaded.record);
    const action = decide(record, await this.#fleet(record), this.#around());
    const left = leave(action, record, this.#options.driven, this.#around());
    if (left !== undefined) return this.#rest(loaded, left.record, left.until);
    switch (action.do) {
      case "wait":
        return this.#rest(loaded, record, action.until);
      case "change":
        if (this.#begin !== undefined && beginsByItself(action)?.kind === "rotate") {
          const { wish, lease, dueAt } = record;
          // Somebody has asked for it already, or is about to.
          const isAsked = wish !== undefined && lease === undefined && dueAt !== null && dueAt > clock.now();
          if (isAsked) return this.#rest(loaded, record, dueAt);
          return this.#beginElsewhere(loaded, record, action.transition, this.#begin);
        }
        // Before anything is waited for: others who ask meanwhile must find it counted.
        this.#countScheduled(action.transition);
        await this.#save(loaded.revision, this.#leased(action.transition), record);
        return undefined;
      case "step":
      case "settle": {
        const { until } = this.#options;
        if (until !== undefined && clock.now() >= until) {
          await this.#rest(loaded, record, clock.now());
          return { result: "paused", until: clock.now(), record };
        }
        const claimed = await this.#claim(loaded, record);
        const outcome = await this.#traced(action, claimed.record);
        const transition = next(claimed.record, outcome, this.#around());
        await this.#save(claimed.revision, this.#leased(transition), claimed.record);
        return undefined;
      }
    }
  }

  /**
   * The wish is on record before anybody is asked, and nobody has the lease: whoever begins it may do so before the answer comes. Where nothing
   * comes of it, it is asked for again after a while.
   */
  async #beginElsewhere(
    loaded: Loaded,
    record: RotationRecord,
    { record: begun }: Transition,
    begin: NonNullable<ReconcileOptions["begin"]>,
  ): Promise<Reconciled | undefined> {
    const { clock, journal, log } = this.#ports;
    const { requestedBy = scheduled } = rotationOf(begun.state) ?? {};
    const wish = record.wish ?? { kind: "rotate" as const, requestedBy, at: clock.now() };
    const again = clock.now() + patienceMs(this.#managed.policy);
    const rested = await this.#rest(loaded, { ...record, wish }, again);
    try {
      if (!(await begin(rested.record))) {
        this.#begin = undefined;
        return undefined;
      }
    } catch (thrown) {
      const { code, message: reason, remedy } = asKeyturnError(thrown);
      log("warn", `${record.ref} is due, and ${didNotBegin}`, { code, reason, remedy });
      return rested;
    }
    const { record: after } = (await journal.load(record.ref)) ?? rested;
    return { result: "waiting", until: after.dueAt ?? undefined, record: after };
  }

  #traced(action: Extract<Action, { do: "step" | "settle" }>, record: RotationRecord): Promise<Outcome> {
    const step = action.do === "settle" ? "retire" : action.step;
    const carryOut = () => this.#act(action, record);
    return this.#options.trace?.({ step, managed: this.#managed, record }, carryOut) ?? carryOut();
  }

  async #act(action: Extract<Action, { do: "step" | "settle" }>, record: RotationRecord): Promise<Outcome> {
    const ports = this.#ports;
    const stand = {
      ports,
      managed: this.#managed,
      rotator: this.#rotator,
      record,
      session: this.#session,
      redactor: this.#redactor,
    };
    const what = action.do === "settle" ? "retire" : action.step;
    try {
      return await this.#session.within(ports.clock, this.#managed.policy.stepDeadlineMs, what, () =>
        perform(action, stand),
      );
    } catch (thrown) {
      const error = asKeyturnError(thrown);
      // Whatever the step kept open is in a state that nobody knows.
      await this.#session.close(error);
      this.#session = new Session();
      ports.log("warn", `${what} of ${record.ref} failed`, { code: error.code, error });
      const { code, disposition } = error;
      const failure = {
        result: "failed",
        code,
        disposition,
        message: this.#redactor.redact(error.message),
      } as const;
      return action.do === "settle"
        ? { step: "settle", debt: action.debt, ...failure }
        : { step: action.step, ...failure };
    }
  }

  async #fleet(record: RotationRecord): Promise<FleetView> {
    const agents = needsFleet(record.state) ? await this.#ports.journal.agents(record.ref) : [];
    const rotation = rotationOf(record.state);
    const versions = { old: previousNames(record, rotation), new: rotation?.id ?? "" };
    return viewFleet(agents, versions, this.#managed.policy, this.#ports.clock.now());
  }

  #leaseOfOther({ lease }: RotationRecord): number | undefined {
    if (lease === undefined || lease.holder === this.#options.worker) return undefined;
    if (lease.until <= this.#ports.clock.now()) return undefined;
    return this.#options.isGone?.(lease.holder) === true ? undefined : lease.until;
  }

  /** Keeps others away for one step. A lease that this worker has already is only renewed with what it saves anyway. */
  async #claim(loaded: Loaded, record: RotationRecord): Promise<Loaded> {
    const held = loaded.record.lease;
    const enough = this.#ports.clock.now() + this.#managed.policy.stepDeadlineMs;
    if (held?.holder === this.#options.worker && held.until >= enough) return { ...loaded, record };
    return this.#save(loaded.revision, this.#leased(stay(record)), record);
  }

  #countScheduled({ record: { state } }: Transition): void {
    const began = state.phase === "create" && state.rotation.requestedBy === scheduled;
    if (began) this.#options.quota?.took(this.#ports.clock.now());
  }

  #leased(transition: Transition): Transition {
    // Twice the deadline: a lease that was just renewed covers the next step without another save.
    const now = this.#ports.clock.now();
    const until = now + 2 * this.#managed.policy.stepDeadlineMs;
    const lease = { holder: this.#options.worker, until };
    const dueAt = Math.min(until, now + lookInMs);
    return { ...transition, record: { ...transition.record, lease, dueAt } };
  }

  /** Lets go of the lease and says when to look again; saves only if that changes anything. */
  async #rest(loaded: Loaded, record: RotationRecord, until: number | undefined): Promise<Reconciled> {
    const unsent = record.outbox.entries.length + record.outbox.events.length > 0;
    const retryAt = unsent
      ? this.#ports.clock.now() + backoffMs(this.#managed.policy, record.outbox.attempts)
      : undefined;
    const times = [until, retryAt].filter((time) => time !== undefined);
    const dueAt = times.length === 0 ? null : Math.min(...times);
    const changed =
      record !== loaded.record || loaded.record.lease !== undefined || loaded.record.dueAt !== dueAt;
    const rested = { ...record, lease: undefined, dueAt };
    if (changed) await this.#save(loaded.revision, stay(rested), record);
    return { result: "waiting", until: dueAt ?? undefined, record: rested };
  }

  async #save(revision: number, transition: Transition, before: RotationRecord): Promise<Loaded> {
    const saved = await commit(this.#ports, revision, transition, this.#options.worker);
    if (transition.notes.length > 0) this.#options.observe?.({ ...transition, record: saved.record }, before);
    return saved;
  }

  #around(): Surroundings {
    const now = this.#ports.clock.now();
    const { policy } = this.#managed;
    const quotaOpensAt = this.#options.quota?.opensAt(now) ?? 0;
    return { policy, overlap: this.#rotator.overlap, now, newId: newId(this.#ports.random), quotaOpensAt };
  }
}
