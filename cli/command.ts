import type { Command } from "commander";
import { asKeyturnError } from "../core/errors.ts";
import { exitCodeOf, exitCodes } from "./exit.ts";
import { type Terminal, terminal } from "./terminal.ts";

/** What every command is given. */
export interface CommandContext {
  readonly manifestPath: string;
  readonly terminal: Terminal;
  /** Aborted by Ctrl-C. What is in the journal stays; the next command or the service goes on with it. */
  readonly signal: AbortSignal;
}

/** Runs a command's work: its exit code, its errors as a person and as a machine read them, and Ctrl-C, in one place. */
export function action<Args extends readonly unknown[]>(
  command: Command,
  work: (context: CommandContext, ...args: Args) => Promise<number>,
): (...args: Args) => Promise<void> {
  return async (...args) => {
    const options: { manifest: string; json?: boolean } = command.optsWithGlobals();
    const shown = terminal(options.json === true);
    const controller = new AbortController();
    const interrupt = (): void => controller.abort();
    process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
    try {
      process.exitCode = await work(
        { manifestPath: options.manifest, terminal: shown, signal: controller.signal },
        ...args,
      );
    } catch (thrown) {
      process.exitCode = controller.signal.aborted ? interrupted(shown) : failed(shown, thrown);
    } finally {
      process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
    }
  };
}

function interrupted(shown: Terminal): number {
  shown.warn("interrupted; what had begun goes on by `keyturn serve` or the next command");
  const message = "what had begun goes on by `keyturn serve` or the next command";
  shown.result({ error: { code: "interrupted", message } });
  return exitCodes.interrupted;
}

function failed(shown: Terminal, thrown: unknown): number {
  const error = asKeyturnError(thrown);
  shown.warn(`${error.code}: ${error.message}`);
  shown.warn(`  ${error.remedy}`);
  shown.result({ error: { code: error.code, message: error.message, remedy: error.remedy } });
  return exitCodeOf(error.code);
}
