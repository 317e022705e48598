import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const keyturn = fileURLToPath(new URL("../cli/keyturn.mjs", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

/** Starts the command as a person would, in a process of its own. */
export function startKeyturn(
  args: readonly string[],
  options: {
    readonly input?: string;
    readonly environment?: NodeJS.ProcessEnv;
    readonly directory?: string;
  } = {},
): Running {
  const child = spawn(process.execPath, [keyturn, ...args], {
    env: options.environment ?? process.env,
    cwd: options.directory,
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  return { child, ended: end(child, child.stdout, child.stderr) };
}

/** Runs the command to its end. */
export function runKeyturn(...start: Parameters<typeof startKeyturn>): Promise<Ended> {
  return startKeyturn(...start).ended;
}

async function end(
  child: ChildProcess,
  stdout: NodeJS.ReadableStream,
  stderr: NodeJS.ReadableStream,
): Promise<Ended> {
  const closed = new Promise<number | null>((resolve) => child.once("close", resolve));
  const texts = await Promise.all([collect(stdout), collect(stderr)]);
  return { code: await closed, stdout: texts[0], stderr: texts[1] };
}

async function collect(stream: NodeJS.ReadableStream): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += String(chunk);
  return text;
}
