import pRetry from "p-retry";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import type { Clock, Log } from "../core/ports.ts";
import type { NotifyChannel } from "../manifest/manifest.ts";
import { type DeliverOptions, deliver } from "./deliver.ts";
import type { NotifyLedger, Waiting } from "./ledger.ts";
import type { NoticeKind } from "./notice.ts";

/** One try to deliver, for those who count. */
export interface Delivery {
  readonly channel: string;
  readonly kind: NotifyChannel["kind"];
  readonly notice: NoticeKind;
  /** `expired`: it was tried for days, and is given up. */
  readonly outcome: "delivered" | "failed" | "refused" | "gone" | "expired";
  readonly durationMs: number;
}

export interface CourierOptions extends Omit<DeliverOptions, "signal" | "now"> {
  readonly ledger: NotifyLedger;
  readonly clock: Clock;
  readonly log: Log;
  readonly backoff: { readonly firstMs: number; readonly mostMs: number };
  /** The receiver wants to hear nothing more. */
  readonly onGone: (channel: string) => void;
  readonly onDelivery: (delivery: Delivery) => void;
}

/** As long as Standard Webhooks tries. */
const expiryMs = 75 * 60 * 60_000;
const batchMax = 200;

/** A try that failed: the whole channel waits, for it is the receiver that is down, mostly. */
class TryAgain extends Error {
  readonly retryAfterMs: number;

  constructor(retryAfterMs: number) {
    super("a delivery failed");
    this.retryAfterMs = retryAfterMs;
  }
}

/** Brings one channel its notices, at least once each. A receiver that is down or slow keeps no other channel waiting. */
export class Courier {
  readonly #channel: NotifyChannel;
  readonly #options: CourierOptions;
  /** Tries by sequence: a notice that fails lets the others go first. */
  readonly #tries = new Map<number, number>();
  #poked = Promise.withResolvers<void>();
  #isGone = false;

  constructor(channel: NotifyChannel, options: CourierOptions) {
    this.#channel = channel;
    this.#options = options;
  }

  /** There may be something to deliver. */
  poke(): void {
    this.#poked.resolve();
  }

  /** Ends with the signal, or when the receiver wants to hear nothing more. */
  async run(signal: AbortSignal): Promise<void> {
    const stopped = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    while (!signal.aborted && !this.#isGone) {
      this.#poked = Promise.withResolvers();
      await this.#deliverAll(signal);
      await Promise.race([this.#poked.promise, stopped]);
    }
  }

  async #deliverAll(signal: AbortSignal): Promise<void> {
    const { backoff, clock } = this.#options;
    try {
      await pRetry(() => this.#round(signal), {
        retries: Number.POSITIVE_INFINITY,
        minTimeout: backoff.firstMs,
        maxTimeout: backoff.mostMs,
        randomize: true,
        signal,
        onFailedAttempt: async ({ error }) => {
          if (error instanceof TryAgain) await clock.sleep(error.retryAfterMs, signal);
        },
      });
    } catch (thrown) {
      if (signal.aborted) return;
      this.#log("error", "deliveries stopped by a defect, and go on later", asKeyturnError(thrown));
      this.poke();
      await clock.sleep(backoff.mostMs, signal).catch(() => undefined);
    }
  }

  /** Delivers until nothing waits; the first failure ends it. */
  async #round(signal: AbortSignal): Promise<void> {
    while (!this.#isGone) {
      const next = await this.#next();
      if (next === undefined) return;
      await this.#bring(next, signal);
    }
  }

  /** Of what waits, what was tried least; but what concerns one thing stays in its order. */
  async #next(): Promise<Waiting | undefined> {
    const { ledger } = this.#options;
    const waiting = await ledger.waiting(this.#channel.name, batchMax).catch((thrown: unknown) => {
      this.#log("warn", "what waits cannot be read", asKeyturnError(thrown));
      throw new TryAgain(0);
    });
    const keys = new Set<string>();
    const first = waiting.filter(({ notice: { key } }) => !keys.has(key) && keys.add(key));
    const tries = ({ sequence }: Waiting): number => this.#tries.get(sequence) ?? 0;
    return first.toSorted((one, other) => tries(one) - tries(other)).at(0);
  }

  async #bring(waiting: Waiting, signal: AbortSignal): Promise<void> {
    const { clock, onGone, ...options } = this.#options;
    const { sequence, notice, at } = waiting;
    const started = clock.now();
    const count = (outcome: Delivery["outcome"]): void => {
      const { name, kind } = this.#channel;
      const durationMs = clock.now() - started;
      options.onDelivery({ channel: name, kind, notice: notice.kind, outcome, durationMs });
    };
    if (started - at > expiryMs) {
      count("expired");
      const late = new KeyturnError("timeout", `it was tried for days: ${notice.summary}`);
      this.#log("error", "a notification is given up", late);
      return this.#settle(waiting);
    }
    const outcome = await deliver(this.#channel, notice, { ...options, now: () => clock.now(), signal });
    count(outcome.result);
    switch (outcome.result) {
      case "delivered":
        options.log("info", "notified", { channel: this.#channel.name, notice: notice.id });
        return this.#settle(waiting);
      case "refused":
        this.#log("error", "a notification was refused, and is given up", outcome.error);
        return this.#settle(waiting);
      case "gone":
        this.#isGone = true;
        onGone(this.#channel.name);
        this.#log("error", "the channel is gone: nothing more is sent to it", outcome.error);
        return;
      case "failed":
        this.#tries.set(sequence, (this.#tries.get(sequence) ?? 0) + 1);
        this.#log("warn", "a notification waits", outcome.error);
        throw new TryAgain(outcome.retryAfterMs);
    }
  }

  async #settle({ sequence }: Waiting): Promise<void> {
    const { ledger, clock } = this.#options;
    this.#tries.delete(sequence);
    await ledger.settle(sequence, clock.now()).catch((thrown: unknown) => {
      // It is sent again, with the same id.
      this.#log("warn", "a delivery cannot be noted", asKeyturnError(thrown));
      throw new TryAgain(0);
    });
  }

  #log(level: "warn" | "error", message: string, { code, message: reason, remedy }: KeyturnError): void {
    this.#options.log(level, message, { channel: this.#channel.name, code, reason, remedy });
  }
}
