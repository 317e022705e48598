import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { asKeyturnError } from "../core/errors.ts";
import type { RotationEvent } from "../core/events.ts";
import type { Log } from "../core/ports.ts";
import type { LocalEventBus } from "./event-bus.ts";

interface StreamOptions {
  readonly bus: Pick<LocalEventBus, "readEvents" | "end">;
  readonly log: Log;
}

interface Listener {
  readonly response: ServerResponse;
  readonly mayRead: (ref: string) => boolean;
  /** Asked again at every sign of life, so that a revoked token hears nothing for longer than that. */
  readonly isWelcome: () => Promise<boolean>;
}

/** Agents expect a sign of life at least this often. */
const keepAliveMs = 15_000;
/** Whoever published may have died before it could wake us. */
const lookMs = 500;
/** Between two batches those who listen get time to listen, or a burst of events would take them for deaf. */
const batchMax = 100;
const betweenBatchesMs = 5;
/** A consumer that is further behind is dropped: it comes back and reads, which is all that an event asks of it. */
const unsentBytesMax = 256 * 1024;

/** Streams events, as they are published by any process, to every connection that may read of their secret. */
export class EventStream {
  readonly #options: StreamOptions;
  readonly #listeners = new Set<Listener>();
  readonly #keepAlive: NodeJS.Timeout;
  readonly #look: NodeJS.Timeout;
  #place: number;
  #looking: Promise<void> | undefined;
  #again = false;
  #closed = false;

  static async open(options: StreamOptions): Promise<EventStream> {
    return new EventStream(options, await options.bus.end());
  }

  private constructor(options: StreamOptions, place: number) {
    this.#options = options;
    this.#place = place;
    this.#keepAlive = setInterval(() => void this.#sayAlive(), keepAliveMs);
    this.#look = setInterval(() => this.look(), lookMs);
  }

  /** From now on: what came before is in the store that the agent reads when the stream is open. */
  add(listener: Listener): void {
    const { response } = listener;
    // Gone while its token was looked at.
    if (response.destroyed) return;
    this.#listeners.add(listener);
    response.on("close", () => this.#listeners.delete(listener));
    response.writeHead(200, { "content-type": "application/x-ndjson", "cache-control": "no-store" });
    response.write("\n");
  }

  /** Looks for new events now. Asked while it looks, it looks once more. */
  look(): void {
    this.#again = true;
    this.#looking ??= this.#pump().finally(() => {
      this.#looking = undefined;
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#keepAlive);
    clearInterval(this.#look);
    this.#closed = true;
    await this.#looking;
    for (const { response } of this.#listeners) response.end();
  }

  async #pump(): Promise<void> {
    const { bus, log } = this.#options;
    try {
      while (this.#again && !this.#closed) {
        this.#again = false;
        const { events, next } = await bus.readEvents(this.#place, batchMax);
        for (const event of events) this.#tell(event);
        if (next === this.#place) continue;
        this.#place = next;
        this.#again = true;
        await sleep(betweenBatchesMs);
      }
    } catch (thrown) {
      const { code, message } = asKeyturnError(thrown);
      log("warn", "events cannot be read; it is tried again", { code, message });
    }
  }

  #tell(event: RotationEvent): void {
    const line = `${JSON.stringify(event)}\n`;
    for (const listener of this.#listeners) {
      if (listener.mayRead(event.subject)) this.#send(listener, line);
    }
  }

  async #sayAlive(): Promise<void> {
    for (const listener of this.#listeners) {
      try {
        if (await listener.isWelcome()) this.#send(listener, "\n");
        else listener.response.end();
      } catch (thrown) {
        // No answer is not a no.
        this.#options.log("warn", "a token cannot be checked", { code: asKeyturnError(thrown).code });
        this.#send(listener, "\n");
      }
    }
  }

  #send({ response }: Listener, line: string): void {
    if (response.writableLength + line.length > unsentBytesMax) {
      this.#options.log("warn", "an agent that does not read its events was dropped");
      response.destroy();
      return;
    }
    response.write(line);
  }
}
