import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Scheduler } from "../cli/scheduler.ts";
import { type LocalJournal, openJournal } from "../local/journal.ts";
import { median } from "./median.ts";

const many = 1_000_000;
const few = 10_000;
const due = 100;
const rounds = 31;
const now = Date.UTC(2026, 0, 1);

export interface DueBench {
  readonly records: number;
  readonly due: number;
  /** What is due of all of them. */
  readonly dueMs: number;
  /** One look of the scheduler, until its worker has as much as it takes at once. */
  readonly tickMs: number;
  /** Against a hundredth of the records with as many due: the median of the rounds' ratios. */
  readonly dueRatio: number;
  readonly tickRatio: number;
  readonly fillMs: number;
}

/** A real journal with a million secrets of which a hundred are due, beside a small one with as many due. */
export async function benchDue(): Promise<DueBench> {
  const folder = mkdtempSync(join(tmpdir(), "keyturn-bench-due-"));
  try {
    const started = performance.now();
    using large = await filledJournal(join(folder, "large.db"), many);
    const fillMs = performance.now() - started;
    using small = await filledJournal(join(folder, "small.db"), few);
    const dues = await compared(large, small, dueOnce);
    const ticks = await compared(large, small, tickOnce);
    return {
      records: many,
      due,
      dueMs: dues.ms,
      tickMs: ticks.ms,
      dueRatio: dues.ratio,
      tickRatio: ticks.ratio,
      fillMs,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A million saves would take an hour: the rows are written by one statement. Their records are empty, for looking reads none. */
async function filledJournal(path: string, records: number): Promise<LocalJournal> {
  (await openJournal(path, true))[Symbol.dispose]();
  const sqlite = new DatabaseSync(path);
  // The due ones are spread over all of them.
  sqlite.exec(`PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${records - 1})
    INSERT INTO records (ref, revision, due_at, record)
    SELECT printf('team-%03d/db-%07d', i % 500, i), 1,
      CASE WHEN i % ${records / due} = 0 THEN ${now} - i ELSE ${now} + 1 + i * 1000 END, '{}' FROM n`);
  sqlite.close();
  return openJournal(path, false);
}

async function compared(
  large: LocalJournal,
  small: LocalJournal,
  once: (journal: LocalJournal) => Promise<number>,
): Promise<{ readonly ms: number; readonly ratio: number }> {
  await once(large);
  await once(small);
  const pairs: { readonly large: number; readonly small: number }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    pairs.push({ large: await once(large), small: await once(small) });
  }
  return {
    ms: median(pairs.map((pair) => pair.large)),
    ratio: median(pairs.map((pair) => pair.large / pair.small)),
  };
}

async function dueOnce(journal: LocalJournal): Promise<number> {
  const started = performance.now();
  const found = await journal.due(now, 1_000);
  const ms = performance.now() - started;
  if (found.length !== due) throw new Error(`${found.length} are due, and not ${due}`);
  return ms;
}

async function tickOnce(journal: LocalJournal): Promise<number> {
  const handedOut = new Set<string>();
  let looked = (): void => undefined;
  const isOver = new Promise<void>((resolve) => {
    looked = resolve;
  });
  const watched = {
    due: journal.due,
    // The last thing that a look asks for.
    nextDueAt: async () => {
      const next = await journal.nextDueAt();
      looked();
      return next;
    },
  };
  const workshop = {
    has: (ref: string) => handedOut.has(ref),
    get load() {
      return handedOut.size;
    },
    reconcile: (ref: string) => void handedOut.add(ref),
  };
  const scheduler = new Scheduler(
    watched,
    workshop,
    () => now,
    () => undefined,
  );
  const started = performance.now();
  scheduler.wake();
  await isOver;
  const ms = performance.now() - started;
  await scheduler.stop();
  if (handedOut.size === 0) throw new Error("the scheduler handed nothing out");
  return ms;
}
