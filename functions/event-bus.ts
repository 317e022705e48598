import { type EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { KeyturnError } from "../core/errors.ts";
import type { EventBus } from "../core/ports.ts";
import { type AwsPart, translateAws, translateAwsName } from "./aws-errors.ts";

/** What rules match: every event of Keyturn has this source, and its type as detail-type. */
export const eventSource = "dev.keyturn";

const part: AwsPart = { name: "EventBridge", outage: "bus-unavailable" };

/** EventBridge takes so much of an entry, its source and its type included. */
const entryMax = 256 * 1024;

export interface BusOptions {
  readonly client: EventBridgeClient;
  /** The bus's name or ARN. */
  readonly bus: string;
}

/** `detail` is the whole CloudEvent, so that whoever gets it needs nothing of the envelope that EventBridge puts around it. */
export function openEventBus({ client, bus }: BusOptions): EventBus {
  return {
    publish: async (event) => {
      const entry = {
        EventBusName: bus,
        Source: eventSource,
        DetailType: event.type,
        Detail: JSON.stringify(event),
        Time: new Date(event.time),
      };
      const bytes = Buffer.byteLength(entry.Source + entry.DetailType + entry.Detail);
      if (bytes > entryMax) {
        throw new KeyturnError(
          "input-invalid",
          `the event ${event.id} has ${bytes} bytes, and EventBridge takes ${entryMax}`,
        );
      }
      const doing = `publishing ${event.id}`;
      const { FailedEntryCount = 0, Entries = [] } = await client
        .send(new PutEventsCommand({ Entries: [entry] }))
        .catch((thrown: unknown) => {
          throw translateAws(thrown, part, doing);
        });
      // It answers 200 although it took nothing.
      if (FailedEntryCount > 0) throw translateAwsName(Entries[0]?.ErrorCode ?? "no reason", part, doing);
    },
  };
}
