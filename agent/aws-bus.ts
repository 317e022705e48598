import { EventBridgeClient, PutEventsCommand, type PutEventsRequestEntry } from "@aws-sdk/client-eventbridge";
import { KeyturnError } from "../core/errors.ts";
import { hostSource } from "../core/host-messages.ts";
import { type AwsPart, translateAwsName } from "../functions/aws-errors.ts";
import { answerSoon, clientConfig, translate } from "./aws-calls.ts";
import type { AwsOptions } from "./aws-options.ts";
import { type AgentClock, backoffMs, type Chance } from "./clock.ts";

interface BusOptions {
  readonly aws: AwsOptions;
  readonly fleet: string;
  readonly principal: string;
  readonly clock: AgentClock;
  readonly chance: Chance;
}

/** What a host says: the type of an event, and what is in it. */
export interface Saying {
  readonly type: string;
  readonly detail: unknown;
}

const part: AwsPart = { name: "EventBridge", outage: "bus-unavailable" };
/** EventBridge takes so much in a call; a little is left for what SQS puts around it. */
const callMax = 240 * 1024;
const entriesMax = 10;
const attemptsMax = 5;
const retryBaseMs = 100;
const retryMaxMs = 2_000;

/** Speaks on the installation's bus, under the one source that IAM lets this principal use. */
export class AwsBus {
  readonly #client: EventBridgeClient;
  readonly #options: BusOptions;

  constructor(options: BusOptions) {
    this.#options = options;
    this.#client = new EventBridgeClient({ ...clientConfig(options.aws), requestHandler: answerSoon });
  }

  /** Resolves when the bus has all of them: it delivers them at least once, in any order. */
  async say(sayings: readonly Saying[], signal?: AbortSignal): Promise<void> {
    const { aws, fleet, principal } = this.#options;
    const entries = sayings.map(({ type, detail }) => ({
      EventBusName: `keyturn-${aws.installation}`,
      Source: hostSource(fleet, principal),
      DetailType: type,
      Detail: JSON.stringify(detail),
    }));
    for (const call of callsOf(entries)) await this.#put(call, signal);
  }

  close(): void {
    this.#client.destroy();
  }

  /** What the bus leaves of a call is said again, and nothing else. */
  async #put(entries: readonly PutEventsRequestEntry[], signal: AbortSignal | undefined): Promise<void> {
    const { clock, chance } = this.#options;
    let left = entries;
    for (let attempts = 1; ; attempts += 1) {
      const refused = await this.#putOnce(left, signal);
      if (refused === undefined) return;
      if (attempts === attemptsMax || !isPassing(refused.error) || signal?.aborted) throw refused.error;
      left = refused.entries;
      await clock
        .sleep(backoffMs(attempts - 1, retryBaseMs, retryMaxMs, chance), signal)
        .catch(() => undefined);
    }
  }

  async #putOnce(entries: readonly PutEventsRequestEntry[], signal: AbortSignal | undefined) {
    const doing = "speaking on the bus";
    const options = signal === undefined ? {} : { abortSignal: signal };
    const { Entries: results = [] } = await this.#client
      .send(new PutEventsCommand({ Entries: [...entries] }), options)
      .catch((thrown: unknown) => {
        throw translate(thrown, part, doing);
      });
    // An answer that says nothing of an entry has not taken it.
    const refused = entries.flatMap((entry, index) => {
      const { EventId, ErrorCode = "no reason" } = results[index] ?? {};
      return EventId === undefined ? [{ entry, code: ErrorCode }] : [];
    });
    const [first] = refused;
    if (first === undefined) return undefined;
    return { error: translateAwsName(first.code, part, doing), entries: refused.map(({ entry }) => entry) };
  }
}

function isPassing({ code }: KeyturnError): boolean {
  return code === "throttled" || code === "bus-unavailable";
}

function callsOf(entries: readonly PutEventsRequestEntry[]): readonly (readonly PutEventsRequestEntry[])[] {
  const calls: PutEventsRequestEntry[][] = [];
  let bytes = callMax;
  for (const entry of entries) {
    const size = Buffer.byteLength(`${entry.Source}${entry.DetailType}${entry.Detail}`);
    if (size > callMax) {
      throw new KeyturnError(
        "input-invalid",
        `what is to be said has ${size} bytes, and EventBridge takes ${callMax}`,
      );
    }
    const last = calls.at(-1);
    if (last === undefined || last.length === entriesMax || bytes + size > callMax) {
      calls.push([entry]);
      bytes = size;
    } else {
      last.push(entry);
      bytes += size;
    }
  }
  return calls;
}
