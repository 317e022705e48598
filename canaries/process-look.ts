import { createHash } from "node:crypto";
import { openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { note } from "./note.ts";

/** A new process is looked at again at twice its age, up to this one: it begins as a copy of its parent, and becomes another program a little later. */
const newMs = 100;

/**
 * Looks at the processes of this machine, as any other user with rights may: their arguments and their environments, each once, into a
 * file. A look costs next to nothing where no process is new: the kernel says which number it gave last. Linux only.
 */
export class ProcessLook {
  readonly #file: string;
  readonly #loadavg = openSync("/proc/loadavg", "r");
  readonly #buffer = Buffer.alloc(128);
  readonly #written = new Set<string>();
  /** What the arguments of each were. */
  readonly #args = new Map<number, string>();
  /** Since when each new one is known, and when it is looked at next. */
  readonly #new = new Map<number, { readonly since: number; readonly next: number }>();
  #last = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** At all that there are. */
  atAll(): void {
    const pids = new Set(readdirSync("/proc").map(Number));
    for (const pid of this.#args.keys()) if (!pids.has(pid)) this.#args.delete(pid);
    for (const pid of pids) if (pid > 0) this.#look(pid);
  }

  /** At what is new since the look before. */
  atNew(now: number): void {
    const last = this.#lastPid();
    // Where the numbers have begun again, all are looked at.
    if (last < this.#last) this.atAll();
    for (let pid = this.#last === 0 ? last : this.#last + 1; pid <= last; pid += 1) {
      this.#args.delete(pid);
      if (!isThread(pid)) this.#new.set(pid, { since: now, next: now });
    }
    this.#last = last;
    for (const [pid, { since, next }] of this.#new) {
      if (next > now) continue;
      if (this.#look(pid) && now - since < newMs) this.#new.set(pid, { since, next: 2 * now - since });
      else this.#new.delete(pid);
    }
  }

  /** Whether it is still there. */
  #look(pid: number): boolean {
    const args = read(pid, "cmdline");
    if (args === undefined) return false;
    // The kernel's own have none, and what has ended has none any more.
    if (args === "" || args === this.#args.get(pid)) return true;
    this.#args.set(pid, args);
    const shown = `${args}\0${read(pid, "environ") ?? ""}\0\n`;
    const key = createHash("sha256").update(shown).digest("base64");
    if (!this.#written.has(key)) note(this.#file, Buffer.from(shown, "latin1"));
    this.#written.add(key);
    return true;
  }

  #lastPid(): number {
    const length = readSync(this.#loadavg, this.#buffer, 0, this.#buffer.length, 0);
    return Number(this.#buffer.toString("latin1", 0, length).trim().split(" ").at(-1));
  }
}

/** Threads are numbered like processes, and show what their process shows. */
function isThread(pid: number): boolean {
  const [, leader] = /^Tgid:\s+(\d+)/m.exec(read(pid, "status") ?? "") ?? [];
  return leader !== undefined && Number(leader) !== pid;
}

/** Undefined: it has ended meanwhile, or is another user's. */
function read(pid: number, what: "cmdline" | "environ" | "status"): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${what}`, "latin1");
  } catch {
    return undefined;
  }
}
