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
import { KeyturnError } from "../core/errors.ts";

/** The last line's place, 1 for the first, and its hash; 0 and "" where there is none. */
export interface LineEnd {
  readonly place: number;
  readonly hash: string;
}

/** What the lines of a file are: JSON, each of which names its place, its own hash and the hash of the line before. */
export interface LineChain<Line> {
  /** As a person would say it, with its article. */
  readonly name: string;
  /** Undefined: it is no such line. */
  readonly read: (json: unknown) => Line | undefined;
  readonly link: (line: Line) => LineEnd & { readonly previousHash: string };
  /** Whether the line's hash is of what it says. */
  readonly isWhole: (line: Line) => boolean;
}

const newline = 10;

/** Appends to the file, made if need be. The caller sees to it that nobody else does so at the same time. False: the line is not the next one. */
export function appendToLines<Line>(path: string, line: Line, chain: LineChain<Line>): boolean {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    const end = repairedEnd(file, path, chain);
    const { place, previousHash } = chain.link(line);
    if (place === end.place + 1 && previousHash === end.hash) {
      appendText(file, end.size, `${JSON.stringify(line)}\n`);
      return true;
    }
    if (!isThere(path, line, end, chain)) return false;
    // Whoever wrote it may have died before it was safe.
    fsyncSync(file);
    return true;
  } finally {
    closeSync(file);
  }
}

/**
 * Every complete line, as it is: verifying is the reader's. Only the last one may be incomplete, while a write is under way
 * or after one was interrupted; it was never acknowledged, or else the chain is found too short.
 */
export async function* readLines<Line>(path: string, chain: LineChain<Line>): AsyncGenerator<Line> {
  if (!existsSync(path)) return;
  const parts: Buffer[] = [];
  let number = 0;
  let last: LineEnd = nothing;
  for await (const chunk of createReadStream(path)) {
    let rest: Buffer = chunk;
    for (let end = rest.indexOf(newline); end >= 0; end = rest.indexOf(newline)) {
      number += 1;
      const text = Buffer.concat([...parts.splice(0), rest.subarray(0, end)]);
      const line = lineIn(text, `line ${number} of ${path}`, chain);
      last = chain.link(line);
      yield line;
      rest = rest.subarray(end + 1);
    }
    parts.push(rest);
  }
  const line = wholeLine(Buffer.concat(parts), last, chain);
  if (line !== undefined) yield line;
}

/** The end as a reader would find it, by reading no more than the end of the file. */
export function endOfLines<Line>(path: string, chain: LineChain<Line>): LineEnd {
  if (!existsSync(path)) return nothing;
  const file = openSync(path, "r");
  try {
    const { last, torn } = endIn(file, path, chain);
    const line = wholeLine(torn, last, chain);
    return line === undefined ? last : endAt(line, chain);
  } finally {
    closeSync(file);
  }
}

const nothing: LineEnd = { place: 0, hash: "" };

function endAt<Line>(line: Line, chain: LineChain<Line>): LineEnd {
  const { place, hash } = chain.link(line);
  return { place, hash };
}

/** The last complete line, and what stands behind it. */
function endIn<Line>(
  file: number,
  path: string,
  chain: LineChain<Line>,
): { readonly last: LineEnd; readonly torn: Buffer; readonly size: number } {
  const { size } = fstatSync(file);
  const tail = readTail(file, size);
  const lastNewline = tail.lastIndexOf(newline);
  const text = tail.subarray(tail.lastIndexOf(newline, lastNewline - 1) + 1, Math.max(0, lastNewline));
  const last = lastNewline < 0 ? nothing : endAt(lineIn(text, `the last line of ${path}`, chain), chain);
  return { last, torn: tail.subarray(lastNewline + 1), size };
}

/** The chain's end, behind which the next line may be written. */
function repairedEnd<Line>(
  file: number,
  path: string,
  chain: LineChain<Line>,
): LineEnd & { readonly size: number } {
  const { last, torn, size } = endIn(file, path, chain);
  if (torn.length === 0) return { ...last, size };
  const line = wholeLine(torn, last, chain);
  if (line !== undefined) {
    appendText(file, size, "\n");
    return { ...endAt(line, chain), size: size + 1 };
  }
  ftruncateSync(file, size - torn.length);
  return { ...last, size: size - torn.length };
}

/** The next line of the chain, of which nothing but its end is missing: editors take that away, and it must not cost an entry. */
function wholeLine<Line>(torn: Buffer, last: LineEnd, chain: LineChain<Line>): Line | undefined {
  const line = parsed(torn, chain);
  if (line === undefined) return undefined;
  const { place, previousHash } = chain.link(line);
  const follows = place === last.place + 1 && previousHash === last.hash;
  return follows && chain.isWhole(line) ? line : undefined;
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
function appendText(file: number, size: number, text: string): void {
  const bytes = Buffer.from(text);
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
function isThere<Line>(path: string, line: Line, end: LineEnd, chain: LineChain<Line>): boolean {
  const { place, hash } = chain.link(line);
  if (place === end.place) return hash === end.hash;
  if (place > end.place) return false;
  const text = readFileSync(path, "utf8").split("\n")[place - 1] ?? "";
  const found = parsed(Buffer.from(text), chain);
  return found !== undefined && chain.link(found).hash === hash;
}

function lineIn<Line>(text: Buffer, where: string, chain: LineChain<Line>): Line {
  const line = parsed(text, chain);
  if (line !== undefined) return line;
  throw new KeyturnError("data-broken", `${where} is not ${chain.name}`);
}

function parsed<Line>(text: Buffer, chain: LineChain<Line>): Line | undefined {
  try {
    const json: unknown = JSON.parse(text.toString("utf8"));
    return chain.read(json);
  } catch {
    return undefined;
  }
}
