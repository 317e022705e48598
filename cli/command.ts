import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { asKeyturnError } from "../core/errors.ts";
import { exitCodeOf, exitCodes } from "./exit.ts";
import { type Terminal, terminal } from "./terminal.ts";

/** What every command is given. */
export interface CommandContext {
  readonly manifestPath: string;
  readonly terminal: Terminal;
  /** Aborted by Ctrl-C. What is in the journal stays; the next command, the service or functions go on with it. */
  readonly signal: AbortSignal;
}

interface ActionOptions {
  /** How long the work may take to end by itself after Ctrl-C. */
  readonly farewellMs?: number;
}

/** A signal is often said twice, to the process and to its group: by `timeout`, by npm, by a terminal. No person is that quick. */
const echoMs = 300;

/** Runs a command's work: its exit code, its errors as a person and as a machine read them, and Ctrl-C, in one place. */
export function action<Args extends readonly unknown[]>(
  command: Command,
  work: (context: CommandContext, ...args: Args) => Promise<number>,
  { farewellMs = 1_000 }: ActionOptions = {},
): (...args: Args) => Promise<void> {
  return async (...args) => {
    const options: { manifest: string; json?: boolean } = command.optsWithGlobals();
    const shown = terminal(options.json === true);
    const controller = new AbortController();
    let wishedAt: number | undefined;
    // Once is a wish, twice is an order. It stays in its place: where nobody listens, others take the signal for the end.
    const interrupt = (): void => {
      wishedAt ??= performance.now();
      if (controller.signal.aborted && performance.now() - wishedAt > echoMs)
        process.exit(exitCodes.interrupted);
      controller.abort();
    };
    process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
    const context = { manifestPath: options.manifest, terminal: shown, signal: controller.signal };
    try {
      process.exitCode = await orLeave(work(context, ...args), controller.signal, farewellMs);
    } catch (thrown) {
      process.exitCode = controller.signal.aborted ? interrupted(shown) : failed(shown, thrown);
    } finally {
      process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
    }
  };
}

/** After Ctrl-C the work has a moment for its last words. Whatever it still does then ends with the process, as it may at any line. */
async function orLeave<T>(work: Promise<T>, signal: AbortSignal, farewellMs: number): Promise<T> {
  const ended = new AbortController();
  const left = new Promise<never>((_, reject) => {
    const leave = (): void => {
      sleep(farewellMs, undefined, { signal: ended.signal }).then(
        () => reject(signal.reason),
        () => undefined,
      );
    };
    if (Number.isFinite(farewellMs)) signal.addEventListener("abort", leave, { once: true });
  });
  try {
    return await Promise.race([work, left]);
  } finally {
    ended.abort();
  }
}

function interrupted(shown: Terminal): number {
  const message = "what had begun goes on by `keyturn serve` or the next command; on AWS, by itself";
  shown.warn(`interrupted; ${message}`);
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
