import { setTimeout as sleep } from "node:timers/promises";
import type { AuditEntry } from "../core/audit.ts";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import type { Ports } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";
import { carryOn } from "./carry-on.ts";
import { entriesAfter } from "./entries-after.ts";
import { goesOn, type OpenStore } from "./open.ts";
import { waitingFor } from "./standstill.ts";
import { duration, short, type Terminal } from "./terminal.ts";
import { isGone } from "./who.ts";

/** How often a record is looked at that another worker has in hand. */
const lookMs = 100;
/** Timers know no longer time. */
const sleepMaxMs = 2 ** 31 - 1;

interface DriveOptions {
  readonly worker: string;
  /** When the command has what it wants. */
  readonly reached: (record: RotationRecord) => boolean;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
  /** Gives up after this long; what is under way goes on by the service or the next command. */
  readonly timeoutMs: number;
}

/**
 * Works on one secret, or watches another worker do it, until the command has what it wants, and shows each change as it is saved. Ctrl-C
 * and the end of its time are obeyed at once, in the middle of a step, too: a step may end at any line, and whoever comes next repeats it.
 */
export async function drive(
  ref: string,
  store: Pick<OpenStore, "ports" | "local">,
  options: DriveOptions,
): Promise<RotationRecord> {
  const { ports } = store;
  const { terminal, signal, worker } = options;
  const started = ports.clock.now();
  const deadline = started + options.timeoutMs;
  const progress = new Progress(started, terminal);
  let told = false;
  for (;;) {
    const observe = ({ record: { outbox } }: { readonly record: RotationRecord }): void =>
      progress.show(outbox.entries);
    const pass = carryOn(ref, store, { worker, isGone, observe, until: deadline });
    const { until, record, result } = await inTime(pass, ref, store, options, deadline);
    await progress.showAll(ports, record);
    if (result === "busy" && !told) {
      const end = new Date(record.lease?.until ?? 0).toISOString();
      terminal.say(`another worker has it in hand, until ${end} at the latest: ${record.lease?.holder}`);
    }
    told ||= result === "busy";
    if (options.reached(record)) return record;
    if (record.state.phase === "halted") return record;
    if (result === "waiting" && until === undefined) return record;
    if (ports.clock.now() >= deadline) throw outOfTime(ref, record, store, options.timeoutMs);
    const pause = result === "busy" ? lookMs : Math.max(10, (until ?? 0) - ports.clock.now());
    await sleep(Math.min(pause, 1_000), undefined, { signal });
  }
}

/** What the pass comes to, unless time or patience ends first: then the pass is left to the process's end. */
async function inTime<T>(
  pass: Promise<T>,
  ref: string,
  store: Pick<OpenStore, "ports" | "local">,
  { signal, timeoutMs, terminal }: DriveOptions,
  deadline: number,
): Promise<T> {
  const { ports } = store;
  const ended = new AbortController();
  const late = Symbol("late");
  const pause = sleep(Math.min(sleepMaxMs, Math.max(0, deadline - ports.clock.now())), late, {
    signal: AbortSignal.any([signal, ended.signal]),
  });
  try {
    const first = await Promise.race([pass, pause]);
    if (first !== late) return await pass;
    throw outOfTime(ref, (await ports.journal.load(ref))?.record, store, timeoutMs);
  } catch (thrown) {
    if (signal.aborted) {
      const record = (await ports.journal.load(ref))?.record;
      terminal.warn(`${ref} is in ${record?.state.phase ?? "no rotation"}`);
    }
    throw thrown;
  } finally {
    ended.abort();
  }
}

function outOfTime(
  ref: string,
  record: RotationRecord | undefined,
  store: Pick<OpenStore, "ports" | "local">,
  timeoutMs: number,
): KeyturnError {
  const where = record?.state.phase ?? "no rotation";
  const why = record && waitingFor(record, store.ports.clock.now());
  return new KeyturnError(
    "timeout",
    `${ref} is in ${where} after ${duration(timeoutMs)}${why === undefined ? "" : `: ${why}`}; it goes on ${goesOn(store)}`,
  );
}

/** The audit is what happened, whoever did it: the same lines for one's own work and a watched one's, each once. */
class Progress {
  readonly #started: number;
  readonly #terminal: Terminal;
  #shown = 0;

  constructor(started: number, terminal: Terminal) {
    this.#started = started;
    this.#terminal = terminal;
  }

  show(entries: readonly AuditEntry[]): void {
    for (const entry of entries) {
      if (entry.sequence <= this.#shown) continue;
      this.#shown = entry.sequence;
      if (entry.at < this.#started) continue;
      const after = `+${duration(entry.at - this.#started)}`.padStart(9);
      const detail = entry.detail === "" ? "" : `  ${entry.detail}`;
      this.#terminal.say(`${after}  ${entry.action.padEnd(20)} ${short(entry.version)}${detail}`);
    }
  }

  /** What cannot be shown must not stop what is done. */
  async showAll(ports: Ports, record: RotationRecord): Promise<void> {
    try {
      this.show(await entriesAfter(this.#shown, record, ports));
    } catch (thrown) {
      this.#terminal.warn(`the audit cannot be read: ${asKeyturnError(thrown).message}`);
      this.#shown = record.audit.sequence;
    }
  }
}
