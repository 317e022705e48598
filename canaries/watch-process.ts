import { join } from "node:path";
import { inspect } from "node:util";
import { note } from "./note.ts";
import { ProcessWatch } from "./process-watch.ts";
import { runFolder } from "./run-folder.ts";
import { programOf } from "./suites.ts";
import { watch, watchThread } from "./watch.ts";
import { recordSpawns } from "./watch-spawns.ts";

/** Under it the processes that a program starts know whose values theirs are. */
const suiteVariable = "KEYTURN_CANARIES_SUITE";
/** Set where a process above looks at all processes. */
const lookedVariable = "KEYTURN_CANARIES_LOOKED";

/** For a process of its own: what it prints is kept, too. */
export async function watchProcess(folder: string): Promise<void> {
  const program = process.env[suiteVariable] ?? programOf(process.argv[1]);
  // npm, which starts it, is none.
  if (program !== undefined) process.env[suiteVariable] = program;
  watch(folder, program ?? "processes");
  keepPrinted(folder);
  recordSpawns(join(runFolder(folder).processes, `${process.pid}`));
  await lookAtProcesses(folder);
}

/** For a thread of such a process. */
export function watchItsThread(folder: string): void {
  watchThread(folder, process.env[suiteVariable] ?? "processes");
}

/** Looks at all processes as long as this one lives, where none above it does so. */
export async function lookAtProcesses(folder: string): Promise<void> {
  if (process.env[lookedVariable] !== undefined) return;
  process.env[lookedVariable] = String(process.pid);
  await new ProcessWatch(join(runFolder(folder).processes, `${process.pid}-looked`)).isLooking;
}

const once = Symbol.for("keyturn.canaries.printed");

export function keepPrinted(folder: string): void {
  if (Object.hasOwn(globalThis, once)) return;
  Reflect.set(globalThis, once, true);
  const file = join(runFolder(folder).printed, `${process.pid}`);
  // What nobody catches is printed by Node itself.
  process.on("uncaughtExceptionMonitor", (error) => note(file, inspect(error)));
  for (const stream of [process.stdout, process.stderr]) {
    stream.write = new Proxy(stream.write, {
      apply: (write, self, args) => {
        note(file, args[0]);
        return Reflect.apply(write, self, args);
      },
    });
  }
}
