import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { setImmediate } from "node:timers/promises";
import { chainFile, refOfChainFile } from "../core/audit-files.ts";
import { KeyturnError } from "../core/errors.ts";
import type { AuditLog } from "../core/ports.ts";
import { appendToChain, endOfChain, readChain } from "./audit-file.ts";
import { Database } from "./database.ts";
import { keepPrivate, syncFolder } from "./files.ts";

/** The database holds nothing: its write lock lets one process at a time append, and a killed process cannot keep it. */
const migrations = ["CREATE TABLE empty (here INTEGER) STRICT;"];

/** Whoever writes to the audit beside `folder` takes its write lock. */
export function openAuditLock(folder: string, create: boolean): Promise<Database> {
  return Database.open({ path: `${folder}.db`, migrations, unavailable: "audit-unavailable" }, create);
}

/** One file of JSON lines for each secret in `folder`, and the lock beside it. */
export async function openAuditLog(folder: string, create: boolean): Promise<AuditLog & Disposable> {
  if (create) mkdirSync(folder, { recursive: true, mode: 0o700 });
  else if (!existsSync(folder)) throw new KeyturnError("data-broken", `${folder} is missing; restore it`);
  keepPrivate(folder);
  const lock = await openAuditLock(folder, create);
  const ends = new Ends();
  return {
    append: async (entry) => {
      const path = join(folder, fileName(entry.ref));
      await lock.write(() =>
        translated(path, () => {
          const isFirst = entry.sequence === 1;
          if (isFirst) mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
          appendToChain(path, entry);
          if (isFirst) for (const place of [dirname(path), folder]) syncFolder(place);
        }),
      );
    },
    read: (ref) => readChain(join(folder, fileName(ref))),
    end: async (ref) => {
      // Whoever asks for all of them must not keep the process from everything else.
      await setImmediate();
      return ends.of(join(folder, fileName(ref)));
    },
    refs: async () => namesIn(folder).flatMap(refOf).sort(),
    [Symbol.dispose]: () => lock.close(),
  };
}

/** Where chains end, read again only where the file is another than it was: whoever signs every hour asks for all of them. */
class Ends {
  readonly #known = new Map<
    string,
    { readonly stamp: string; readonly end: ReturnType<typeof endOfChain> }
  >();

  of(path: string): ReturnType<typeof endOfChain> {
    const { ino, size, ctimeMs } = statSync(path, { throwIfNoEntry: false }) ?? {};
    const stamp = `${ino} ${size} ${ctimeMs}`;
    const known = this.#known.get(path);
    if (known?.stamp === stamp) return known.end;
    const end = endOfChain(path);
    this.#known.set(path, { stamp, end });
    return end;
  }
}

/** Every file below a folder, by its path from there. */
function namesIn(folder: string, below = ""): readonly string[] {
  return readdirSync(join(folder, below), { withFileTypes: true }).flatMap((found) => {
    const name = below === "" ? found.name : `${below}${sep}${found.name}`;
    return found.isDirectory() ? namesIn(folder, name) : [name];
  });
}

function fileName(ref: string): string {
  return chainFile(ref).replaceAll("/", sep);
}

/** Empty for a file that none of our names leads to. */
function refOf(name: string): string[] {
  const ref = refOfChainFile(name.replaceAll(sep, "/"));
  return ref === undefined ? [] : [ref];
}

/** What keeps a file of the audit from being written is an outage of the audit. */
export function translated(path: string, work: () => void): void {
  try {
    work();
  } catch (cause) {
    if (cause instanceof KeyturnError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new KeyturnError("audit-unavailable", `${path} cannot be written: ${why}`, { cause });
  }
}
