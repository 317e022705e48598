import { seal } from "./audit.ts";
import { asKeyturnError } from "./errors.ts";
import { parseEvent, type RotationEvent } from "./events.ts";
import type { Loaded, Ports } from "./ports.ts";
import type { RotationRecord } from "./record.ts";
import type { EventDraft, Transition } from "./transition.ts";

/**
 * Saves a change with its audit entries and events in the record's outbox: one compare-and-set, so that no crash can part
 * what was done from what is written and told of it. Throws `conflict` when somebody else moved first.
 */
export async function commit(
  ports: Ports,
  revision: number | undefined,
  transition: Transition,
  actor: string,
): Promise<Loaded> {
  const now = ports.clock.now();
  const { record } = transition;
  const entries = [...record.outbox.entries];
  let end = record.audit;
  for (const note of transition.notes) {
    const entry = seal(
      {
        ref: record.ref,
        at: now,
        actor: note.actor ?? actor,
        action: note.action,
        epoch: record.epoch,
        version: note.version,
        detail: note.detail,
      },
      end,
    );
    entries.push(entry);
    end = { sequence: entry.sequence, hash: entry.hash };
  }
  const events = [
    ...record.outbox.events,
    ...transition.events.map((draft) => envelope(ports.installation, record, draft, now)),
  ];
  const saved = { ...record, audit: end, outbox: { ...record.outbox, entries, events } };
  return { record: saved, revision: await ports.journal.save(saved, revision) };
}

/** Puts the CloudEvents envelope around an event. */
export function envelope(
  installation: string,
  record: Pick<RotationRecord, "ref" | "epoch">,
  draft: EventDraft,
  now: number,
): RotationEvent {
  return parseEvent({
    specversion: "1.0",
    id: `${record.ref}/${record.epoch}/${draft.step}`,
    source: `keyturn/${installation}`,
    subject: record.ref,
    time: new Date(now).toISOString(),
    datacontenttype: "application/json",
    type: draft.type,
    data: draft.data,
  });
}

/** Events that the bus has refused this often are dropped: they are hints. Audit entries never are. */
const eventAttemptsMax = 20;

/**
 * Writes and tells what the outbox holds. Gives the record without what got through; it is saved with the next change, and
 * whoever dies before that does it again: appending twice is once, and an event's id is its key.
 */
export async function flush(ports: Ports, record: RotationRecord): Promise<RotationRecord> {
  const { outbox } = record;
  if (outbox.entries.length === 0 && outbox.events.length === 0) return record;
  const entries = await remaining(ports, outbox.entries, (entry) => ports.audit.append(entry));
  const events = await remaining(ports, outbox.events, (event) => ports.bus.publish(event));
  const failed = entries.length > 0 || events.length > 0;
  const attempts = failed ? outbox.attempts + 1 : 0;
  return {
    ...record,
    outbox: { entries, events: attempts >= eventAttemptsMax ? [] : events, attempts },
  };
}

/** In order, up to the first that fails. */
async function remaining<Item>(
  ports: Ports,
  items: readonly Item[],
  send: (item: Item) => Promise<void>,
): Promise<Item[]> {
  for (const [index, item] of items.entries()) {
    try {
      await send(item);
    } catch (thrown) {
      const error = asKeyturnError(thrown);
      ports.log("warn", "the outbox waits", { code: error.code, reason: error.message });
      return items.slice(index);
    }
  }
  return [];
}
