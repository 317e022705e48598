// Loaded into every process that a run starts, by NODE_OPTIONS. Plain JavaScript, for some of them are an older Node on purpose.
import { appendFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

const folder = process.env.KEYTURN_CANARIES;
if (folder !== undefined && !isMainThread && process.features.typescript) {
  const { watchItsThread } = await import("./watch-process.ts");
  watchItsThread(folder);
}
if (folder !== undefined && isMainThread) {
  const args = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const environment = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
  try {
    const shown = `${args.join("\0")}\0\0${environment.join("\0")}\0\n`;
    appendFileSync(`${folder}/processes/${process.pid}`, shown, { mode: 0o600 });
  } catch {
    // One that is not allowed to write, or has no room to, is not disturbed by being watched.
  }
  if (process.features.typescript) {
    const { watchProcess } = await import("./watch-process.ts");
    await watchProcess(folder);
  }
}
