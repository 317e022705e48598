import { KeyturnError } from "../core/errors.ts";
import type { HostSecret } from "../core/host-messages.ts";
import type { AgentClock } from "./clock.ts";

interface ReadableOptions {
  readonly fleet: string;
  readonly clock: AgentClock;
  /** Has the service say again what may be read. */
  readonly ask: () => Promise<void>;
  /** The service has not said anything, and reading goes on without. */
  readonly unheard: () => void;
}

/** How long a read waits for the service to say what may be read. */
const waitMs = 5_000;
/** After a wait in vain, reads do not wait again for so long. */
const patientAfterMs = 30_000;
/** Of what nobody has said anything: short enough for every rotation, and read by the rule that suits every type. */
const unheardOf = { type: "unknown", overlap: "cutover", cacheTtlMs: 60_000 } as const;

/**
 * What the fleet may read, as the service says it. Should it say nothing, reading goes on: an agent that starts while the service is down
 * must find its credential.
 */
export class Readable {
  readonly #options: ReadableOptions;
  #secrets: ReadonlyMap<string, HostSecret> | undefined;
  #heard = Promise.withResolvers<void>();
  #waitedInVain = Number.NEGATIVE_INFINITY;

  constructor(options: ReadableOptions) {
    this.#options = options;
  }

  hear(secrets: readonly HostSecret[]): void {
    this.#secrets = new Map(secrets.map((secret) => [secret.ref, secret]));
    this.#heard.resolve();
    this.#heard = Promise.withResolvers();
  }

  /** All of it; fails if the service says nothing. */
  async all(): Promise<readonly HostSecret[]> {
    if (this.#secrets === undefined) await this.#wait();
    if (this.#secrets === undefined) {
      throw new KeyturnError("bus-unavailable", "the service has not said yet what may be read");
    }
    return [...this.#secrets.values()];
  }

  /** Whether it is known that this is not the fleet's, as far as the service has spoken. */
  lacks(ref: string): boolean {
    return this.#secrets !== undefined && !this.#secrets.has(ref);
  }

  /** How a secret is read. What the fleet did not have may have come to it: the service is asked again, now and then. */
  async about(ref: string): Promise<HostSecret> {
    if (!this.#secrets?.has(ref)) await this.#wait();
    const known = this.#secrets?.get(ref);
    if (known !== undefined) return known;
    if (this.#secrets !== undefined) {
      throw new KeyturnError(
        "access-denied",
        `${ref} is not for the fleet ${this.#options.fleet}, as the manifest says`,
      );
    }
    return { ref, ...unheardOf };
  }

  async #wait(): Promise<void> {
    const { clock, ask, unheard } = this.#options;
    if (clock.now() - this.#waitedInVain < patientAfterMs) return;
    const before = this.#secrets;
    const heard = this.#heard.promise;
    const waited = new AbortController();
    // That nothing could be asked shows by nothing being heard.
    void ask().catch(() => undefined);
    await Promise.race([heard, clock.sleep(waitMs, waited.signal).catch(() => undefined)]);
    waited.abort();
    if (this.#secrets !== before) return;
    this.#waitedInVain = clock.now();
    if (before === undefined) unheard();
  }
}
