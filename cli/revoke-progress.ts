import type { AuditEntry } from "../core/audit.ts";
import { asKeyturnError } from "../core/errors.ts";
import type { Ports } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";
import { entriesAfter } from "./entries-after.ts";
import { duration, short, type Terminal } from "./terminal.ts";

/** With more secrets than this only what somebody waits for is shown. */
const detailMax = 5;
const milestones = /^(?:emergency\.requested|finish\.done|debt\.paid|halted|undo\.began|.*\.failed)$/;

/** A line for each change of each secret, as it is saved. */
export class RevokeProgress {
  readonly #terminal: Terminal;
  readonly #isBrief: boolean;
  readonly #started = Date.now();
  readonly #shown = new Map<string, number>();

  constructor(terminal: Terminal, secrets: number) {
    this.#terminal = terminal;
    this.#isBrief = secrets > detailMax;
  }

  /** What this process saved just now. */
  show({ ref, outbox }: RotationRecord): void {
    this.#tell(ref, outbox.entries);
  }

  /** What others did meanwhile, too; of many secrets that would be too much to read. What cannot be shown must not stop what is done. */
  async showAll(record: RotationRecord, ports: Pick<Ports, "audit">): Promise<void> {
    this.show(record);
    if (this.#isBrief || this.#terminal.json) return;
    const shown = this.#shown.get(record.ref) ?? 0;
    const entries = await entriesAfter(shown, record, ports).catch((thrown: unknown) => {
      this.#shown.set(record.ref, record.audit.sequence);
      this.#terminal.warn(`the audit cannot be read: ${asKeyturnError(thrown).message}`);
      return [];
    });
    this.#tell(record.ref, entries);
  }

  #tell(ref: string, entries: readonly AuditEntry[]): void {
    for (const { sequence, at, action, version, detail } of entries) {
      if (sequence <= (this.#shown.get(ref) ?? 0)) continue;
      this.#shown.set(ref, sequence);
      if (at < this.#started || (this.#isBrief && !milestones.test(action))) continue;
      const after = `+${duration(at - this.#started)}`.padStart(9);
      const rest = detail === "" ? "" : `  ${detail}`;
      this.#terminal.say(`${after}  ${ref}  ${action.padEnd(20)} ${short(version)}${rest}`);
    }
  }
}
