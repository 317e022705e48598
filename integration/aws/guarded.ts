import { spawn } from "node:child_process";
import { once } from "node:events";

/** How long a command may take over its end by itself, before it and its children are ended for it. */
const usualGraceSeconds = 8;

/**
 * It leads a process group of its own and holds the other end of a pipe of ours. When the pipe closes, because we close it
 * or because we are gone in whatever way, it asks the command to end, and after the grace it ends the whole group.
 */
const guard = (graceSeconds: number) => `
"$@" 3<&- &
command=$!
{ trap "" TERM INT HUP; cat <&3; kill -TERM $command; sleep ${graceSeconds}; kill -KILL 0; } >/dev/null 2>&1 &
wait $command
`;

/** A command that never outlives this process, and neither do the processes that it starts. */
export interface Guarded {
  /** Its exit code once it has ended; a signal counts as 128 and more. */
  readonly ended: Promise<number>;
  isOver(): boolean;
  /** Asks it to end, and waits until it has, with its children. */
  end(): Promise<void>;
}

interface GuardedOptions {
  readonly folder: string;
  /** Where both of its outputs go: an open file. */
  readonly output: number;
  readonly env?: NodeJS.ProcessEnv;
  /** 0: nothing is lost that anybody needs, whenever it is ended. */
  readonly graceSeconds?: number;
}

export function startGuarded(command: readonly string[], options: GuardedOptions): Guarded {
  const child = spawn("sh", ["-c", guard(options.graceSeconds ?? usualGraceSeconds), "sh", ...command], {
    cwd: options.folder,
    env: { ...process.env, ...options.env },
    detached: true,
    stdio: ["ignore", options.output, options.output, "pipe"],
  });
  const pipe = child.stdio[3];
  let over = false;
  const ended = once(child, "exit").then(([code]) => {
    over = true;
    killGroup(child.pid);
    return typeof code === "number" ? code : 128;
  });
  return {
    ended,
    isOver: () => over,
    end: async () => {
      pipe?.destroy();
      await ended;
    },
  };
}

/** Whoever is left of it when its leader has ended. */
function killGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, "SIGKILL");
  } catch {
    // Nobody is.
  }
}
