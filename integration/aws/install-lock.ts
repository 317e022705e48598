import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";

const lookAgainMs = 200;

/**
 * Held by one process at a time, for one folder. It is a lock of the system's on a file, which SQLite takes for us: whoever
 * dies holding it has let go of it.
 */
export async function lockFolder(folder: string, onWait: () => void): Promise<Disposable> {
  mkdirSync(folder, { recursive: true });
  const file = new DatabaseSync(join(folder, "lock"), { timeout: 0 });
  for (let waited = false; !isOurs(file); waited = true) {
    if (!waited) onWait();
    await sleep(lookAgainMs);
  }
  return { [Symbol.dispose]: () => file.close() };
}

function isOurs(file: DatabaseSync): boolean {
  try {
    file.exec("BEGIN EXCLUSIVE");
    return true;
  } catch (failure) {
    if (failure instanceof Error && /locked/.test(failure.message)) return false;
    throw failure;
  }
}
