import {
  closeSync,
  constants,
  createReadStream,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from "node:fs";
import { AuditEntry, seal } from "../core/audit.ts";
import { KeyturnError } from "../core/errors.ts";

const newline = 10;

/** Appends to the chain in the file, made if need be. The caller sees to it that nobody else does so at the same time. */
export function appendToChain(path: string, entry: AuditEntry): void {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    const end = repairedEnd(file, path);
    if (entry.sequence === end.sequence + 1 && entry.previousHash === end.hash) {
      appendLine(file, end.size, `${JSON.stringify(entry)}\n`);
      return;
    }
    if (!isThere(path, entry, end)) {
      throw new KeyturnError("conflict", `the audit of ${entry.ref} is at ${end.sequence}`);
    }
    // Whoever wrote it may have died before it was safe.
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/**
 * Every complete line, as it is: verifying is the reader's. Only the last one may be incomplete, while a write is under way
 * or after one was interrupted; it was never acknowledged, or else the chain is found too short.
 */
export async function* readChain(path: string): AsyncGenerator<AuditEntry> {
  if (!existsSync(path)) return;
  const parts: Buffer[] = [];
  let number = 0;
  let last = { sequence: 0, hash: "" };
  for await (const chunk of createReadStream(path)) {
    let rest: Buffer = chunk;
    for (let end = rest.indexOf(newline); end >= 0; end = rest.indexOf(newline)) {
      number += 1;
      const line = Buffer.concat([...parts.splice(0), rest.subarray(0, end)]);
      const entry = entryIn(line, `line ${number} of ${path}`);
      last = entry;
      yield entry;
      rest = rest.subarray(end + 1);
    }
    parts.push(rest);
  }
  const entry = wholeEntry(Buffer.concat(parts), last);
  if (entry !== undefined) yield entry;
}

interface End {
  readonly sequence: number;
  readonly hash: string;
  readonly size: number;
}

/** The chain's end, behind which the next line may be written. */
function repairedEnd(file: number, path: string): End {
  const { size } = fstatSync(file);
  const tail = readTail(file, size);
  const lastNewline = tail.lastIndexOf(newline);
  const line = tail.subarray(tail.lastIndexOf(newline, lastNewline - 1) + 1, Math.max(0, lastNewline));
  const { sequence, hash } =
    lastNewline < 0 ? { sequence: 0, hash: "" } : entryIn(line, `the last line of ${path}`);
  const torn = tail.subarray(lastNewline + 1);
  if (torn.length === 0) return { sequence, hash, size };
  const entry = wholeEntry(torn, { sequence, hash });
  if (entry !== undefined) {
    appendLine(file, size, "\n");
    return { sequence: entry.sequence, hash: entry.hash, size: size + 1 };
  }
  ftruncateSync(file, size - torn.length);
  return { sequence, hash, size: size - torn.length };
}

/** The next entry of the chain, of whose line nothing but the end is missing: editors take that away, and it must not cost an entry. */
function wholeEntry(torn: Buffer, last: { sequence: number; hash: string }): AuditEntry | undefined {
  const entry = readEntry(torn);
  return entry !== undefined && seal(entry, last).hash === entry.hash ? entry : undefined;
}

/** The end of the file, from so far back that its last two lines are in it. */
function readTail(file: number, size: number): Buffer {
  for (let length = 4096; ; length *= 4) {
    const tail = Buffer.alloc(Math.min(length, size));
    const read = readSync(file, tail, 0, tail.length, size - tail.length);
    if (read !== tail.length) throw new Error("the file became shorter while it was read");
    const lastNewline = tail.lastIndexOf(newline);
    const hasLine = lastNewline > 0 && tail.lastIndexOf(newline, lastNewline - 1) >= 0;
    if (hasLine || tail.length === size) return tail;
  }
}

/** Safe on the disk when it returns; what could not be made safe is taken back. */
function appendLine(file: number, size: number, line: string): void {
  const bytes = Buffer.from(line);
  try {
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(file, bytes, done, bytes.length - done, size + done);
    }
    fsyncSync(file);
  } catch (thrown) {
    ftruncateSync(file, size);
    throw thrown;
  }
}

/** Mostly it is the last one. */
function isThere(path: string, { sequence, hash }: AuditEntry, end: End): boolean {
  if (sequence === end.sequence) return hash === end.hash;
  if (sequence > end.sequence) return false;
  const line = readFileSync(path, "utf8").split("\n")[sequence - 1] ?? "";
  return readEntry(Buffer.from(line))?.hash === hash;
}

function entryIn(line: Buffer, where: string): AuditEntry {
  const entry = readEntry(line);
  if (entry !== undefined) return entry;
  throw new KeyturnError("data-broken", `${where} is not an entry of the audit`);
}

function readEntry(line: Buffer): AuditEntry | undefined {
  try {
    const json: unknown = JSON.parse(line.toString("utf8"));
    return AuditEntry.safeParse(json).data;
  } catch {
    return undefined;
  }
}
