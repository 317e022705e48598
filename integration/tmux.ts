import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { promisify } from "node:util";
import { expect } from "vitest";

const run = promisify(execFile);

/** A real terminal: what a person would see and type. Needs tmux, and fails where it is missing. */
export class TmuxTerminal implements AsyncDisposable {
  /** A server of its own, so that nothing of the machine's own sessions is touched. */
  readonly #socket = `keyturn-${randomUUID()}`;

  static async open(options: {
    readonly directory: string;
    readonly environment: NodeJS.ProcessEnv;
    readonly columns?: number;
    readonly rows?: number;
  }): Promise<TmuxTerminal> {
    const terminal = new TmuxTerminal();
    const { directory, environment, columns = 110, rows = 24 } = options;
    const size = ["-x", String(columns), "-y", String(rows)];
    // A plain shell: nothing of a person's own settings, and a prompt that can be waited for.
    const shell = "env -u TMUX -u CI -u NO_COLOR PS1='ready> ' bash --noprofile --norc";
    const args = [
      "-f",
      "/dev/null",
      "-L",
      terminal.#socket,
      "new-session",
      "-d",
      ...size,
      "-c",
      directory,
      shell,
    ];
    await run("tmux", args, { env: { ...environment, TERM: "xterm-256color" } });
    await terminal.waitFor(/ready>/);
    return terminal;
  }

  /** Types a line, and Enter. */
  async type(line: string): Promise<void> {
    await this.write(line);
    await this.press("Enter");
  }

  /** All at once, as the mouse does it. What is written may be a value, which no process may have among its words: tmux reads it. */
  async write(text: string): Promise<void> {
    const loading = run("tmux", ["-L", this.#socket, "load-buffer", "-b", "written", "-"]);
    loading.child.stdin?.end(text);
    await loading;
    await this.#tmux("paste-buffer", "-d", "-b", "written");
  }

  async press(key: string): Promise<void> {
    await this.#tmux("send-keys", key);
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux("resize-window", "-x", String(columns), "-y", String(rows));
  }

  /** What is to be seen; with `colours`, the sequences that make them. */
  async screen({ colours = false } = {}): Promise<string> {
    return this.#tmux("capture-pane", "-p", ...(colours ? ["-e"] : []));
  }

  /** All that was ever shown. */
  async history(): Promise<string> {
    return this.#tmux("capture-pane", "-p", "-S", "-");
  }

  async waitFor(text: RegExp, timeoutMs = 30_000): Promise<string> {
    await expect.poll(() => this.screen(), { timeout: timeoutMs, interval: 100 }).toMatch(text);
    return this.screen();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tmux("kill-server");
  }

  async #tmux(...args: readonly string[]): Promise<string> {
    const { stdout } = await run("tmux", ["-L", this.#socket, ...args]);
    return stdout;
  }
}
