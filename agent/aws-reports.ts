import { randomUUID } from "node:crypto";
import { KeyturnError } from "../core/errors.ts";
import type { AgentReport } from "../core/fleet.ts";
import { type HostReport, hostEvents } from "../core/host-messages.ts";
import type { ReportReply } from "../core/protocol.ts";
import type { AwsBus } from "./aws-bus.ts";
import { Holds } from "./aws-holds.ts";
import { News } from "./aws-news.ts";
import type { AgentClock } from "./clock.ts";

interface ReportsOptions {
  readonly bus: Pick<AwsBus, "say">;
  readonly host: string;
  readonly clock: AgentClock;
  readonly closing: AbortSignal;
}

const answerWithinMs = 10_000;
const reportsMax = 100;
/** EventBridge counts an event by every 64 KB. */
const bytesMax = 60 * 1024;

/** Reports on the bus, which keeps what it has taken until the service has it; only a new hold is waited for, until the service has answered. */
export class AwsReports {
  readonly #options: ReportsOptions;
  readonly #holds = new Holds();
  readonly #news = new News();

  constructor(options: ReportsOptions) {
    this.#options = options;
  }

  async report(reports: readonly AgentReport[], signal: AbortSignal | undefined): Promise<ReportReply> {
    const parts = partsOf(reports).map((part) => ({ part, asked: this.#holds.ask(randomUUID(), part) }));
    const sayings = parts.map(({ part, asked }) => ({
      type: hostEvents.reported,
      detail: {
        host: this.#options.host,
        reports: [...part],
        news: this.#news.in(part),
        ...(asked === undefined ? {} : { answer: asked.answer }),
      } satisfies HostReport,
    }));
    await this.#options.bus.say(sayings, signal);
    this.#news.said(reports);
    const waiting = parts.flatMap(({ asked }) => (asked?.isNew ? [asked.heard] : []));
    if (waiting.length > 0) await this.#answered(Promise.all(waiting));
    return { refusedHolds: this.#holds.refused(reports) };
  }

  /** The service has answered. */
  hear(answer: string, refusedHolds: readonly string[]): void {
    this.#holds.hear(answer, refusedHolds);
  }

  async #answered(answers: Promise<unknown>): Promise<void> {
    const { clock, closing } = this.#options;
    const waited = new AbortController();
    const late = clock.sleep(answerWithinMs, AbortSignal.any([waited.signal, closing])).then(
      () => new KeyturnError("bus-unavailable", "the service does not say whether it grants a hold"),
      () => new KeyturnError("request-refused", "the client was closed"),
    );
    const outcome = await Promise.race([answers.then(() => undefined), late]);
    waited.abort();
    if (outcome !== undefined) throw outcome;
  }
}

function partsOf(reports: readonly AgentReport[]): readonly (readonly AgentReport[])[] {
  const parts: AgentReport[][] = [];
  let bytes = 0;
  for (const report of reports) {
    const size = Buffer.byteLength(JSON.stringify(report));
    const last = parts.at(-1);
    if (last === undefined || last.length === reportsMax || bytes + size > bytesMax) {
      parts.push([report]);
      bytes = size;
    } else {
      last.push(report);
      bytes += size;
    }
  }
  return parts;
}
