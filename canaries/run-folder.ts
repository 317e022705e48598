import { chmodSync, mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The environment's name for the folder of the run under way. Where it is not set, nobody watches. */
export const variable = "KEYTURN_CANARIES";

/** The environment's name for a value that belongs there, and nowhere else. */
export const plantedVariable = "KEYTURN_CANARIES_PLANTED";

/** Everything that a run leaves behind, so that it can be searched. */
export interface RunFolder {
  /** What the run's processes take for the machine's folder of temporary files. */
  readonly temporary: string;
  /** Where temporary folders go instead of being removed. */
  readonly kept: string;
  /** The values that are searched for, in files of their own that nobody else reads. */
  readonly ledgers: string;
  /** What the run's processes printed. */
  readonly printed: string;
  /** The arguments and the environments of the processes that were there. */
  readonly processes: string;
}

export function runFolder(folder: string): RunFolder {
  return {
    temporary: join(folder, "t"),
    kept: join(folder, "kept"),
    ledgers: join(folder, "ledgers"),
    printed: join(folder, "printed"),
    processes: join(folder, "processes"),
  };
}

/** Makes one. Its path is short: a socket below it must have one of at most 107 bytes. */
export function makeRunFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "kt-"));
  const { temporary, ...others } = runFolder(folder);
  mkdirSync(temporary);
  for (const other of Object.values(others)) mkdirSync(other, { mode: 0o700 });
  // A database server runs as another user, and must reach its own folder.
  chmodSync(folder, 0o711);
  chmodSync(temporary, 0o1777);
  return folder;
}
