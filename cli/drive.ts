import { setTimeout as sleep } from "node:timers/promises";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import type { Ports } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import type { RotationRecord } from "../core/record.ts";
import { duration, short, type Terminal } from "./terminal.ts";
import { isGone } from "./who.ts";

/** How often a record is looked at that another worker has in hand. */
const lookMs = 100;

interface DriveOptions {
  readonly worker: string;
  /** When the command has what it wants. */
  readonly reached: (record: RotationRecord) => boolean;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
  /** Gives up after this long; what is under way goes on by the service or the next command. */
  readonly timeoutMs: number;
}

/** Works on one secret, or watches another worker do it, until the command has what it wants, and shows each change. */
export async function drive(ref: string, ports: Ports, options: DriveOptions): Promise<RotationRecord> {
  const { terminal, signal } = options;
  const started = ports.clock.now();
  let shown = 0;
  let told = false;
  for (;;) {
    signal.throwIfAborted();
    const { until, record, result } = await reconcile(ref, ports, { worker: options.worker, isGone });
    shown = await showAudit(record, ports, shown, started, terminal).catch((thrown: unknown) => {
      // What cannot be shown must not stop what is done.
      terminal.warn(`the audit cannot be read: ${asKeyturnError(thrown).message}`);
      return record.audit.sequence;
    });
    if (result === "busy" && !told) {
      const end = new Date(record.lease?.until ?? 0).toISOString();
      terminal.say(`another worker has it in hand, until ${end} at the latest: ${record.lease?.holder}`);
    }
    told ||= result === "busy";
    if (options.reached(record)) return record;
    if (record.state.phase === "halted") return record;
    if (result === "waiting" && until === undefined) return record;
    if (ports.clock.now() - started > options.timeoutMs) {
      throw new KeyturnError(
        "timeout",
        `${ref} is in ${record.state.phase} after ${duration(options.timeoutMs)}; it goes on while \`keyturn serve\` runs`,
      );
    }
    const pause = result === "busy" ? lookMs : Math.max(10, (until ?? 0) - ports.clock.now());
    await sleep(Math.min(pause, 1_000), undefined, { signal });
  }
}

/** The audit is what happened, whoever did it: the same lines for one's own work and a watched one's. Gives the last sequence shown. */
async function showAudit(
  record: RotationRecord,
  ports: Ports,
  shown: number,
  started: number,
  terminal: Terminal,
): Promise<number> {
  if (record.audit.sequence <= shown) return shown;
  let last = shown;
  for await (const entry of ports.audit.read(record.ref)) {
    if (entry.sequence <= shown) continue;
    last = entry.sequence;
    if (entry.at < started) continue;
    const after = `+${duration(entry.at - started)}`.padStart(9);
    const detail = entry.detail === "" ? "" : `  ${entry.detail}`;
    terminal.say(`${after}  ${entry.action.padEnd(20)} ${short(entry.version)}${detail}`);
  }
  return last;
}
