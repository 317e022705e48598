import { readdirSync, readFileSync } from "node:fs";

/** Looks at the processes of this machine all the time, as any other user with rights may: their arguments and their environments. Linux only. */
export class ProcessWatch implements Disposable {
  readonly #seen = new Map<string, string>();
  readonly #timer: NodeJS.Timeout;

  /** Those whose arguments hold one of these texts; looked for every `lookMs` milliseconds. */
  constructor(texts: readonly string[], lookMs = 100) {
    this.#timer = setInterval(() => this.#look(texts), lookMs);
    this.#timer.unref();
  }

  /** Arguments and environment of each that was there. */
  get seen(): readonly string[] {
    return [...this.#seen.values()];
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(texts: readonly string[]): void {
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      const args = this.#read(pid, "cmdline");
      if (texts.some((text) => args.includes(text)))
        this.#seen.set(`${pid} ${args}`, args + this.#read(pid, "environ"));
    }
  }

  /** Empty: it has ended meanwhile, or is another user's. */
  #read(pid: string, what: "cmdline" | "environ"): string {
    try {
      return readFileSync(`/proc/${pid}/${what}`, "utf8");
    } catch {
      return "";
    }
  }
}
