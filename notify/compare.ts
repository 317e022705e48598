import type { RotationEvent } from "../core/events.ts";
import type { ManagedSecret } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";
import { conditionsOf, endOf, leakOf } from "./conditions.ts";
import { failureOf, newsOf } from "./events.ts";
import type { LedgerChange, Told } from "./ledger.ts";
import { type Condition, type NoticeKind, opening, reminder, resolution } from "./notice.ts";

/** How often a person is told again of what stays as it is. */
export const remindEveryMs = 24 * 60 * 60 * 1000;

/** All that is known of one secret at one moment. */
export interface Sight {
  readonly ref: string;
  /** Undefined: the manifest does not have it any more. */
  readonly managed: Pick<ManagedSecret, "tenant" | "policy"> | undefined;
  readonly record: RotationRecord | undefined;
  readonly told: readonly Told[];
  /** Who is told of such a thing. */
  readonly recipients: (kind: NoticeKind) => readonly string[];
  /** What called attention to it; without one, it was merely looked at. */
  readonly event?: RotationEvent | undefined;
  readonly now: number;
}

/** What is to be told, by what was told before and what is now. */
export function compare(sight: Sight): LedgerChange {
  const { managed, record, told, now } = sight;
  const kept = told.map((row) => keep(row, managed && record, now));
  const closed = kept.flatMap((change) => change.closed);
  const isClosed = ({ channel, condition }: Told): boolean =>
    closed.some((row) => row.channel === channel && row.key === condition.key);
  const stillOpen = told.filter((row) => !isClosed(row));
  const opened = managed === undefined ? [] : openings(sight, managed);
  const changes = [
    ...kept,
    ...opened.map((condition) => open(condition, sight, stillOpen)),
    managed === undefined ? nothing : news(sight, managed),
  ];
  return {
    tell: changes.flatMap(({ tell }) => tell),
    closed,
    told: changes.flatMap((change) => change.told),
  };
}

const nothing: LedgerChange = { tell: [], closed: [], told: [] };

/** What becomes of a condition that a channel was told of. */
function keep(row: Told, record: RotationRecord | undefined, now: number): LedgerChange {
  const { channel, condition, toldAt, reminders } = row;
  const end = endOf(condition, record);
  if (end !== undefined) {
    const tell = [{ channel, notice: resolution(condition, end, now) }];
    return { tell, closed: [{ channel, key: condition.key }], told: [] };
  }
  // An undone rotation is tried again by its schedule, and told again then.
  if (condition.kind === "undone" || now - toldAt < remindEveryMs) return nothing;
  const count = reminders + 1;
  const tell = [{ channel, notice: reminder(condition, count, now) }];
  return { tell, closed: [], told: [{ channel, condition, toldAt: now, reminders: count }] };
}

/** What is wrong by the journal, and what an event says besides. */
function openings(
  { record, event, told, now }: Sight,
  managed: Pick<ManagedSecret, "tenant" | "policy">,
): readonly Condition[] {
  if (record === undefined) return [];
  const seen = conditionsOf(record, managed, now);
  const said = event && conditionOf(event, record, managed);
  if (said === undefined) return seen;
  const isKnown = [...seen, ...told.map(({ condition }) => condition)].some(({ key, kind }) => {
    const isSame = key === said.key && kind !== "undone";
    // What is late because of a debt is told as the debt.
    return isSame || (kind === "debt" && (said.kind === "delayed" || said.kind === "laggards"));
  });
  return isKnown ? seen : [...seen, said];
}

function conditionOf(
  event: RotationEvent,
  record: RotationRecord,
  managed: Pick<ManagedSecret, "tenant">,
): Condition | undefined {
  switch (event.type) {
    case "dev.keyturn.secret.revoked.v1":
      return leakOf(record, event.data.version, managed.tenant);
    case "dev.keyturn.rotation.failed.v1":
      return failureOf(event, managed);
    case "dev.keyturn.secret.rotated.v1":
    case "dev.keyturn.secret.adopted.v1":
    case "dev.keyturn.secret.retired.v1":
      return undefined;
  }
}

/** A condition that is over before anybody was told of it is told with its end: that it happened still matters. */
function open(condition: Condition, sight: Sight, stillOpen: readonly Told[]): LedgerChange {
  const { record, recipients, now } = sight;
  const end = endOf(condition, record);
  const channels = recipients(condition.kind).filter(
    (channel) =>
      !stillOpen.some(
        (row) =>
          row.channel === channel &&
          row.condition.key === condition.key &&
          (condition.kind !== "undone" || row.condition.id === condition.id),
      ),
  );
  const first = channels.map((channel) => ({ channel, notice: opening(condition) }));
  if (end !== undefined) {
    const last = channels.map((channel) => ({ channel, notice: resolution(condition, end, now) }));
    return { tell: [...first, ...last], closed: [], told: [] };
  }
  const told = channels.map((channel) => ({ channel, condition, toldAt: now, reminders: 0 }));
  return { tell: first, closed: [], told };
}

function news({ event, recipients }: Sight, managed: Pick<ManagedSecret, "tenant">): LedgerChange {
  if (event === undefined || event.type === "dev.keyturn.secret.revoked.v1") return nothing;
  if (event.type === "dev.keyturn.rotation.failed.v1") return nothing;
  const notice = newsOf(event, managed);
  return { ...nothing, tell: recipients(notice.kind).map((channel) => ({ channel, notice })) };
}
