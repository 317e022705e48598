import { closeSync, openSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startGuarded } from "./guarded.ts";

interface EmulatorOptions<Found> {
  /** As people call it. */
  readonly name: string;
  readonly command: readonly string[];
  /** It runs in a folder of its own, which is gone when it has ended. */
  env?(folder: string): NodeJS.ProcessEnv;
  /** Asked again and again with all that it has said: what is known of it once it serves, undefined until then. */
  ready(log: string): Promise<Found | undefined>;
  readonly deadlineMs: number;
  /** How long it may take over its end by itself. */
  readonly graceSeconds?: number;
}

export interface Emulator<Found> extends AsyncDisposable {
  readonly found: Found;
  /** Everything that it has said. */
  log(): string;
}

const lookAgainMs = 50;

/** Starts an emulator and waits until it serves. One that does not start says why, and nothing of it is left. */
export async function startEmulator<Found>(options: EmulatorOptions<Found>): Promise<Emulator<Found>> {
  const folder = await mkdtemp(join(tmpdir(), "keyturn-emulator-"));
  const logPath = join(folder, "emulator.log");
  const output = openSync(logPath, "a", 0o600);
  const { graceSeconds } = options;
  const running = startGuarded(options.command, {
    ...{ folder, output, env: options.env?.(folder) ?? {} },
    ...(graceSeconds === undefined ? {} : { graceSeconds }),
  });
  closeSync(output);
  const log = () => readFileSync(logPath, "utf8");
  const end = async () => {
    await running.end();
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  };
  const giveUpAt = performance.now() + options.deadlineMs;
  try {
    for (;;) {
      const found = await options.ready(log());
      if (found !== undefined) return { found, log, [Symbol.asyncDispose]: end };
      if (running.isOver()) throw new Error(`it ended with exit code ${await running.ended}`);
      if (performance.now() > giveUpAt) throw new Error(`it did not serve within ${options.deadlineMs} ms`);
      await sleep(lookAgainMs);
    }
  } catch (failure) {
    const said = log().slice(-4_000);
    await end();
    const reason = failure instanceof Error ? failure.message : String(failure);
    throw new Error(`${options.name} did not start: ${reason}\n${said}`, { cause: failure });
  }
}

/** Whether something answers there as it should; not yet, as long as nobody does. */
export async function answers(
  url: string,
  isGood: (answer: Response) => boolean | Promise<boolean>,
): Promise<boolean> {
  try {
    return await isGood(await fetch(url, { signal: AbortSignal.timeout(2_000) }));
  } catch {
    return false;
  }
}
