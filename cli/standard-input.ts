import { createInterface, type Interface } from "node:readline";
import { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { KeyturnError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";

const bytesMaxUsual = 1_000_000;
/** What is pasted comes faster than anybody types. */
const pasteMs = 50;

/**
 * The whole of standard input as a secret; at a terminal asked for and not echoed: one line, or the lines that were pasted with it, which
 * must not be left to the shell. Never from an argument or the environment.
 */
export async function readSecret(question: string): Promise<Secret> {
  return process.stdin.isTTY ? ask(question, "enter", bytesMaxUsual) : readAll(bytesMaxUsual);
}

/** Of several lines, such as a piece of a log: at a terminal they are ended by Ctrl-D. */
export async function readSecretText(question: string, bytesMax: number): Promise<Secret> {
  return process.stdin.isTTY ? ask(question, "ctrl-d", bytesMax) : readAll(bytesMax);
}

async function readAll(bytesMax: number): Promise<Secret> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    const piece = Buffer.from(chunk);
    bytes += piece.length;
    if (bytes > bytesMax) throw tooMuch(bytesMax);
    chunks.push(piece);
  }
  const all = Buffer.concat(chunks);
  // What Windows writes into a pipe or a file may be UTF-16, and says so by its first two bytes.
  return secretOf(all.toString(all[0] === 0xff && all[1] === 0xfe ? "utf16le" : "utf8"));
}

async function ask(question: string, end: "enter" | "ctrl-d", bytesMax: number): Promise<Secret> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: process.stdin, output: nowhere, terminal: true, historySize: 0 });
  process.stderr.write(question);
  try {
    const text = await typed(reader, end);
    if (Buffer.byteLength(text) > bytesMax) throw tooMuch(bytesMax);
    return secretOf(text);
  } finally {
    reader.close();
    process.stderr.write("\n");
  }
}

/** The lines until it ends; nothing after Ctrl-C. */
function typed(reader: Interface, end: "enter" | "ctrl-d"): Promise<string> {
  const lines: string[] = [];
  return new Promise((resolve) => {
    const finish = (): void => resolve([...lines, reader.line].join("\n"));
    reader.on("line", (line) => {
      lines.push(line);
      if (end === "enter" && lines.length === 1) void sleep(pasteMs).then(finish);
    });
    // In raw mode Ctrl-C is a mere character: it has to end the command as anywhere else.
    reader.once("SIGINT", () => {
      process.emit("SIGINT", "SIGINT");
      resolve("");
    });
    reader.once("close", finish);
    // The reader takes it for the end at the beginning of a line only.
    process.stdin.on("keypress", (_text, key: { readonly ctrl?: boolean; readonly name?: string }) => {
      if (key.ctrl === true && key.name === "d") finish();
    });
  });
}

function secretOf(text: string): Secret {
  if (text.trim() === "") throw new KeyturnError("input-invalid", "standard input was empty");
  return new Secret(text);
}

function tooMuch(bytesMax: number): KeyturnError {
  return new KeyturnError("input-invalid", `standard input has more than ${bytesMax} bytes`);
}
