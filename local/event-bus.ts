import { KeyturnError } from "../core/errors.ts";
import { parseEvent, type RotationEvent } from "../core/events.ts";
import type { Clock, EventBus } from "../core/ports.ts";
import { Database } from "./database.ts";
import type { Row } from "./row.ts";
import type { Waker } from "./wake.ts";

/** AUTOINCREMENT never gives a sequence twice, so that a reader's place stays right when old events are dropped. */
const migrations = [
  `CREATE TABLE events (
     sequence INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, event TEXT NOT NULL
   ) STRICT;
   CREATE INDEX events_at ON events (at);`,
];

/** An event is a hint: one that nobody has fetched for so long has nothing to say any more. */
const keptForMs = 7 * 24 * 60 * 60 * 1000;
const keptMax = 100_000;
/** Old events are looked for once in so many publications. */
const pruneEvery = 100;

export interface LocalEventBus extends EventBus, Disposable {
  /** Events behind a place, in the order of their publication, and the place to go on from. */
  readEvents(
    after: number,
    limit: number,
  ): Promise<{ readonly events: readonly RotationEvent[]; readonly next: number }>;
  /** The place behind the newest event. */
  end(): Promise<number>;
  /** Tells the process that serves to look for work now. That nobody serves is no failure. */
  wake(): Promise<void>;
}

interface BusOptions {
  readonly clock: Pick<Clock, "now">;
  readonly waker: Waker;
}

/** Events in a SQLite file, which any process that shares the folder may publish to; the one that serves streams them. */
export async function openEventBus(
  path: string,
  create: boolean,
  { clock, waker }: BusOptions,
): Promise<LocalEventBus> {
  const database = await Database.open({ path, migrations, unavailable: "bus-unavailable" }, create);
  return {
    publish: async (event) => {
      const now = clock.now();
      await database.write(() => {
        database.run("INSERT INTO events (at, event) VALUES (?, ?)", now, JSON.stringify(event));
        const sequence = endOf(database);
        if (sequence % pruneEvery === 0) prune(database, sequence, now);
      });
      waker.poke();
    },
    wake: () => waker.wake(),
    readEvents: async (after, limit) => {
      const rows = await database.read(() =>
        database.rows(
          "SELECT sequence, event FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?",
          after,
          limit,
        ),
      );
      return { events: rows.flatMap(understood), next: rows.at(-1)?.number("sequence") ?? after };
    },
    end: async () => database.read(() => endOf(database)),
    [Symbol.dispose]: () => database.close(),
  };
}

/** A newer Keyturn may publish what this one does not know; it must not stop the events behind it. */
function understood(row: Row): RotationEvent[] {
  try {
    return [parseEvent(row.json("event"))];
  } catch (thrown) {
    if (thrown instanceof KeyturnError) return [];
    throw thrown;
  }
}

function endOf(database: Database): number {
  return database.row("SELECT seq FROM sqlite_sequence WHERE name = 'events'")?.number("seq") ?? 0;
}

function prune(database: Database, sequence: number, now: number): void {
  database.run("DELETE FROM events WHERE sequence <= ?", sequence - keptMax);
  database.run("DELETE FROM events WHERE at < ?", now - keptForMs);
}
