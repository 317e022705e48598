import { Courier, type CourierOptions } from "./courier.ts";
import { type Pace, Watch, type WatchOptions } from "./watch.ts";

export interface NotifierOptions
  extends Omit<WatchOptions, "gone" | "onTold" | "pace">,
    Pick<CourierOptions, "sender" | "readSecret" | "clock" | "onDelivery"> {
  readonly timeoutMs?: number;
  readonly backoff?: CourierOptions["backoff"];
  readonly pace?: Pace;
}

/** Within what Standard Webhooks asks for. */
export const timeoutMs = 15_000;
/** The most is what a page may come late after its receiver is back. */
const backoff = { firstMs: 2_000, mostMs: 2 * 60_000 };
const pace = { eventsMs: 1_000, openMs: 5_000 };

/** Tells people what they should know, for as long as it is not stopped. It delays nothing and nobody, and never fails. */
export class Notifier {
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;

  constructor(options: NotifierOptions) {
    const gone = new Set<string>();
    const couriers = [...options.channels.values()].map(
      (channel) =>
        new Courier(channel, { timeoutMs, backoff, ...options, onGone: (name) => void gone.add(name) }),
    );
    const onTold = (): void => {
      for (const courier of couriers) courier.poke();
    };
    const watch = new Watch({ pace, ...options, gone, onTold });
    const { signal } = this.#stop;
    this.#running = Promise.all([watch.run(signal), ...couriers.map((courier) => courier.run(signal))]);
  }

  /** What is not delivered is kept for the next one. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}
