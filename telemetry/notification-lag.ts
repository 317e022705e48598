import type { AgentReport } from "../core/fleet.ts";
import type { Ports } from "../core/ports.ts";
import type { Instruments } from "./instruments.ts";

/** Agents whose last version is kept in mind; more than that are measured by sample. */
const agentsMax = 100_000;

/**
 * Measures how long agents take to use a version that has become current: from then to the first report that names it. An agent
 * whose version before is not known, because it or this process has just begun, proves nothing about the way of a notification.
 */
export class NotificationLag {
  readonly #instruments: Instruments;
  readonly #ports: Pick<Ports, "journal" | "clock">;
  /** The last version that an agent was seen to use, by secret and agent. */
  readonly #used = new Map<string, string>();
  /** Since when the newest version of a secret has been current. */
  readonly #current = new Map<string, { readonly version: string; readonly since: number }>();

  constructor(instruments: Instruments, ports: Pick<Ports, "journal" | "clock">) {
    this.#instruments = instruments;
    this.#ports = ports;
  }

  /** To be told of every report that was accepted. Never fails. */
  async seen(reports: readonly AgentReport[]): Promise<void> {
    for (const report of reports) {
      const { ref, agent, adopted, fleet } = report;
      if (adopted === undefined) continue;
      const key = `${ref}\n${agent}`;
      const before = this.#used.get(key);
      if (before !== undefined || this.#used.size < agentsMax) this.#used.set(key, adopted);
      if (report.leaving === true) this.#used.delete(key);
      if (before === undefined || before === adopted) continue;
      const now = this.#ports.clock.now();
      const since = await this.#currentSince(ref, adopted);
      if (since !== undefined)
        this.#instruments.record("notificationLag", now - since, { "keyturn.fleet": fleet });
    }
  }

  /** Undefined for a version that is not current (any more). */
  async #currentSince(ref: string, version: string): Promise<number | undefined> {
    const known = this.#current.get(ref);
    if (known?.version === version) return known.since;
    const current = await this.#ports.journal.load(ref).then(
      (loaded) => loaded?.record.current,
      () => undefined,
    );
    if (current?.version !== version) return undefined;
    this.#current.set(ref, current);
    return current.since;
  }
}
