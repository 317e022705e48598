import { join } from "node:path";
import { runFolder } from "./run-folder.ts";
import { note, watch } from "./watch.ts";

/** For a process of its own: what it prints is kept, too. */
export function watchProcess(folder: string): void {
  watch(folder, "processes");
  const file = join(runFolder(folder).printed, `${process.pid}`);
  for (const stream of [process.stdout, process.stderr]) {
    stream.write = new Proxy(stream.write, {
      apply: (write, self, args) => {
        note(file, args[0]);
        return Reflect.apply(write, self, args);
      },
    });
  }
}
