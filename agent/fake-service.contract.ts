import { setImmediate } from "node:timers/promises";
import { KeyturnError } from "../core/errors.ts";
import type { RotationEvent } from "../core/events.ts";
import type { AgentReport } from "../core/fleet.ts";
import type { ReportReply, SecretReply } from "../core/protocol.ts";
import type { SecretSummary, Transport } from "./transport.ts";

interface Stored {
  current: SecretReply | undefined;
  pending: SecretReply | undefined;
}

/** The service as agents see it, in memory: a test says what it holds, what it refuses, and when it is down. */
export class FakeService implements Transport {
  readonly #secrets = new Map<string, Stored>();
  readonly #listeners = new Set<(line: string | undefined) => void>();
  readonly reports: AgentReport[] = [];
  /** Everything that was asked, in order: `read billing/db`, `report billing/db`. */
  readonly calls: string[] = [];
  readonly retiring = new Set<string>();
  readonly forbidden = new Set<string>();
  cacheTtlMs = 10_000;
  overlap: SecretReply["overlap"] = "both-live";
  down = false;

  put(ref: string, version: string, value: Readonly<Record<string, unknown>>): void {
    this.#stored(ref).current = this.#reply(ref, version, value);
  }

  putPending(ref: string, version: string, value: Readonly<Record<string, unknown>>): void {
    this.#stored(ref).pending = this.#reply(ref, version, value);
  }

  /** Makes pending current, as finish does. */
  promote(ref: string): void {
    const stored = this.#stored(ref);
    stored.current = stored.pending;
    stored.pending = undefined;
  }

  announce(ref: string, version: string, urgent = false): void {
    const event: RotationEvent = {
      specversion: "1.0",
      id: `${ref}/${version}`,
      source: "keyturn/test",
      subject: ref,
      time: "2026-01-01T00:00:00Z",
      datacontenttype: "application/json",
      type: "dev.keyturn.secret.rotated.v1",
      data: { epoch: 1, version, urgent },
    };
    this.say(JSON.stringify(event));
  }

  say(line: string): void {
    for (const listener of this.#listeners) listener(line);
  }

  /** Ends every stream of events, as a restart does. */
  hangUp(): void {
    for (const listener of [...this.#listeners]) listener(undefined);
  }

  get streams(): number {
    return this.#listeners.size;
  }

  /** How often a secret was read. */
  reads(ref: string): number {
    return this.calls.filter((call) => call === `read ${ref}`).length;
  }

  /** The last word of an agent. */
  lastReport(agent: string, ref: string): AgentReport | undefined {
    return this.reports.findLast((report) => report.agent === agent && report.ref === ref);
  }

  refs(): readonly string[] {
    return [...this.#secrets.keys()];
  }

  async list(): Promise<readonly SecretSummary[]> {
    await this.#answer("list");
    return [...this.#secrets.keys()].map((ref) => ({ ref, type: "test" }));
  }

  async read(ref: string, stage: "current" | "pending"): Promise<SecretReply | undefined> {
    await this.#answer(stage === "pending" ? `read pending ${ref}` : `read ${ref}`);
    const stored = this.#secrets.get(ref);
    return stage === "pending" ? stored?.pending : stored?.current;
  }

  async report(reports: readonly AgentReport[]): Promise<ReportReply> {
    await this.#answer(`report ${[...new Set(reports.map((report) => report.ref))].join(" ")}`);
    const forbidden = reports.find((report) => this.forbidden.has(report.ref));
    if (forbidden !== undefined) throw new KeyturnError("access-denied", `not yours: ${forbidden.ref}`);
    this.reports.push(...reports);
    const holds = reports.flatMap((report) => report.holds);
    return { refusedHolds: holds.filter((hold) => this.retiring.has(hold.version)).map((hold) => hold.id) };
  }

  async events(signal: AbortSignal): Promise<AsyncIterable<string>> {
    await this.#answer("events");
    const waiting: (string | undefined)[] = [];
    let wake: () => void = () => undefined;
    const listener = (line: string | undefined) => {
      waiting.push(line);
      wake();
    };
    this.#listeners.add(listener);
    signal.addEventListener("abort", () => listener(undefined), { once: true });
    const listeners = this.#listeners;
    return (async function* () {
      for (;;) {
        if (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve));
        const line = waiting.shift();
        if (line === undefined) break;
        yield line;
      }
      listeners.delete(listener);
    })();
  }

  close(): void {
    this.hangUp();
  }

  async #answer(call: string): Promise<void> {
    this.calls.push(call);
    // An answer comes later than the question, always.
    await setImmediate();
    if (this.down) throw new KeyturnError("unreachable", "the service is down");
  }

  #stored(ref: string): Stored {
    const stored = this.#secrets.get(ref) ?? { current: undefined, pending: undefined };
    this.#secrets.set(ref, stored);
    return stored;
  }

  #reply(ref: string, version: string, value: Readonly<Record<string, unknown>>): SecretReply {
    const { overlap, cacheTtlMs } = this;
    return { ref, version, value: JSON.stringify(value), overlap, cacheTtlMs };
  }
}
