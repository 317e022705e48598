import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { KeyturnError } from "../core/errors.ts";
import type { AuditLog } from "../core/ports.ts";
import { appendToChain, readChain } from "./audit-file.ts";
import { Database } from "./database.ts";
import { keepPrivate, syncFolder } from "./files.ts";

/** The database holds nothing: its write lock lets one process at a time append, and a killed process cannot keep it. */
const migrations = ["CREATE TABLE empty (here INTEGER) STRICT;"];

/** One file of JSON lines for each secret in `folder`, and the lock beside it. */
export async function openAuditLog(folder: string, create: boolean): Promise<AuditLog & Disposable> {
  if (create) mkdirSync(folder, { recursive: true, mode: 0o700 });
  else if (!existsSync(folder)) throw new KeyturnError("data-broken", `${folder} is missing; restore it`);
  keepPrivate(folder);
  const file = { path: `${folder}.db`, migrations, unavailable: "audit-unavailable" } as const;
  const lock = await Database.open(file, create);
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
    refs: async () => readdirSync(folder, { recursive: true, encoding: "utf8" }).flatMap(refOf).sort(),
    [Symbol.dispose]: () => lock.close(),
  };
}

const suffix = ".jsonl";
/** A name that is longer goes on in a folder: disks take 255 bytes. */
const partMax = 200;

/** Small letters, digits, underscores and hyphens stand for themselves: some disks do not tell `A` from `a`. */
function fileName(ref: string): string {
  const encoded = [...Buffer.from(ref)].map((byte) => {
    const character = String.fromCharCode(byte);
    return /[a-z0-9_-]/.test(character) ? character : `%${byte.toString(16).padStart(2, "0")}`;
  });
  const name = encoded.join("");
  const parts = Array.from({ length: Math.ceil(name.length / partMax) }, (_, index) =>
    name.slice(index * partMax, (index + 1) * partMax),
  );
  return `${parts.join(sep)}${suffix}`;
}

/** Empty for a file that none of our names leads to. */
function refOf(name: string): string[] {
  try {
    const ref = decodeURIComponent(name.slice(0, -suffix.length).replaceAll(sep, ""));
    return fileName(ref) === name ? [ref] : [];
  } catch {
    return [];
  }
}

function translated(path: string, work: () => void): void {
  try {
    work();
  } catch (cause) {
    if (cause instanceof KeyturnError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new KeyturnError("audit-unavailable", `${path} cannot be written: ${why}`, { cause });
  }
}
