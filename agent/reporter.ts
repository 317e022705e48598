import { asKeyturnError, type KeyturnError } from "../core/errors.ts";
import { type AgentClock, backoffMs, type Chance, pause } from "./clock.ts";
import type { AgentLog } from "./log.ts";
import type { Transport } from "./transport.ts";
import { Use } from "./use.ts";

interface ReporterOptions {
  readonly report: Transport["report"];
  readonly clock: AgentClock;
  readonly chance: Chance;
  readonly log: AgentLog;
}

/** Before a time to live is known. */
const firstBeatMs = 5_000;
const beatMinMs = 20;
const beatMaxMs = 60_000;
const retryBaseMs = 200;
/** A bus that throttles is asked again within it. */
const leaveWithinMs = 3_000;
/** Keeps one request well below what a service accepts. */
const batchMax = 500;

type Failures = ReadonlyMap<Use, KeyturnError>;

/**
 * Tells the service what the agents of this process use: at once when something changed, and all of it three times per
 * time to live. One request is under way at a time, so that reports arrive in order; what changes meanwhile goes with the next.
 */
export class Reporter {
  readonly #options: ReporterOptions;
  readonly #uses = new Set<Use>();
  readonly #registered = new Set<Use>();
  readonly #dirty = new Set<Use>();
  /** Grows over restarts too. */
  #sequence: number;
  #ttlMs = Number.POSITIVE_INFINITY;
  #flight: Promise<Failures> = Promise.resolve(new Map());
  #followUp: Promise<Failures> | undefined;
  #failures = 0;
  #callOffBeat: () => void;
  #callOffRetry: () => void = () => undefined;
  #closed = false;

  constructor(options: ReporterOptions) {
    this.#options = options;
    this.#sequence = options.clock.wall() * 1000;
    this.#callOffBeat = this.#planBeat();
  }

  /** Nothing is sent before something is registered or changes. */
  add(name: { readonly agent: string; readonly fleet: string; readonly ref: string }): Use {
    const use = new Use(name, (changed) => this.#soon(changed));
    this.#uses.add(use);
    return use;
  }

  /** Resolves when the service has heard of this use. */
  async register(use: Use): Promise<void> {
    if (this.#registered.has(use)) return;
    // Also one that was refused before: it may be allowed by now.
    this.#uses.add(use);
    await this.deliver(use);
  }

  /** Resolves when the service has answered a report of this use as it is now; throws when it could not be delivered. */
  async deliver(use: Use): Promise<void> {
    this.#dirty.add(use);
    const failures = await this.#send();
    const failure = failures.get(use);
    if (failure !== undefined) throw failure;
  }

  /** The shortest time to live sets the beat. */
  ttlSeen(ttlMs: number): void {
    if (ttlMs >= this.#ttlMs) return;
    this.#ttlMs = ttlMs;
    this.#callOffBeat();
    this.#callOffBeat = this.#planBeat();
  }

  /** Says that these stop. Tried once, for a short time: an agent's end waits for nobody. */
  async leave(uses: readonly Use[]): Promise<void> {
    // One that is being registered right now must leave too, or it would be waited for.
    await Promise.race([this.#followUp ?? this.#flight, pause(this.#options.clock, leaveWithinMs)]);
    for (const use of uses) {
      this.#uses.delete(use);
      this.#dirty.delete(use);
    }
    const leaving = uses.filter((use) => this.#registered.delete(use) && !this.#isBack(use));
    const signal = AbortSignal.timeout(leaveWithinMs);
    for (const batch of batches(leaving)) {
      const reports = batch.map((use) => use.report(++this.#sequence, true));
      await this.#options.report(reports, signal).catch((error: unknown) => this.#complain(error));
    }
  }

  stop(): void {
    this.#closed = true;
    this.#callOffBeat();
    this.#callOffRetry();
  }

  /** The same agent uses the same secret again: the word that it leaves would come last, and be believed. */
  #isBack({ agent, ref }: Use): boolean {
    return [...this.#uses].some((use) => use.agent === agent && use.ref === ref);
  }

  #soon(use: Use): void {
    if (this.#closed || !this.#uses.has(use)) return;
    this.#dirty.add(use);
    void this.#send();
  }

  /** Never rejects: says which uses could not be delivered. A request begun before this call is waited for, and another follows. */
  #send(): Promise<Failures> {
    this.#followUp ??= this.#flight.then(() => {
      this.#followUp = undefined;
      this.#flight = this.#post();
      return this.#flight;
    });
    return this.#followUp;
  }

  async #post(): Promise<Failures> {
    const failures = new Map<Use, KeyturnError>();
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    for (const batch of batches(dirty)) await this.#postBatch(batch, failures);
    for (const [use, error] of failures) {
      // One that was never heard of is its caller's concern; the others are told again.
      if (this.#registered.has(use)) this.#dirty.add(use);
      else if (error.disposition === "reject") this.#uses.delete(use);
    }
    this.#planRetry(failures);
    return failures;
  }

  /** A batch that is refused is halved until the report that spoils it is found: it must not silence the others. */
  async #postBatch(batch: readonly Use[], failures: Map<Use, KeyturnError>): Promise<void> {
    try {
      const reports = batch.map((use) => use.report(++this.#sequence, false));
      const { refusedHolds } = await this.#options.report(reports);
      for (const use of batch) {
        if (this.#uses.has(use)) this.#registered.add(use);
        use.refuse(refusedHolds);
      }
    } catch (thrown) {
      const error = asKeyturnError(thrown);
      if (batch.length > 1 && error.disposition === "reject") {
        const half = Math.ceil(batch.length / 2);
        await this.#postBatch(batch.slice(0, half), failures);
        await this.#postBatch(batch.slice(half), failures);
        return;
      }
      for (const use of batch) failures.set(use, error);
    }
  }

  #planBeat(): () => void {
    const { clock, chance } = this.#options;
    const thirdMs = Number.isFinite(this.#ttlMs) ? this.#ttlMs / 3 : firstBeatMs;
    const beatMs = Math.min(beatMaxMs, Math.max(beatMinMs, thirdMs)) * (0.8 + chance() / 5);
    return clock.after(beatMs, () => {
      for (const use of this.#registered) this.#dirty.add(use);
      if (this.#dirty.size > 0) void this.#send();
      this.#callOffBeat = this.#planBeat();
    });
  }

  #planRetry(failures: Failures): void {
    this.#callOffRetry();
    const [first] = failures.values();
    if (first === undefined || this.#closed) {
      this.#failures = 0;
      return;
    }
    if (this.#failures === 0) this.#complain(first);
    const { clock, chance } = this.#options;
    const waitMs = backoffMs(this.#failures, retryBaseMs, Math.min(beatMaxMs, this.#ttlMs / 3), chance);
    this.#failures += 1;
    this.#callOffRetry = clock.after(waitMs, () => {
      if (this.#dirty.size > 0) void this.#send();
    });
  }

  #complain(thrown: unknown): void {
    const error = asKeyturnError(thrown);
    this.#options.log("warn", "cannot report to the service", { code: error.code, reason: error.message });
  }
}

function batches(uses: readonly Use[]): Use[][] {
  const count = Math.ceil(uses.length / batchMax);
  return Array.from({ length: count }, (_, index) => uses.slice(index * batchMax, (index + 1) * batchMax));
}
