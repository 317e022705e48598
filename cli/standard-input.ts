import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { KeyturnError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";

const bytesMaxUsual = 1_000_000;

/** The whole of standard input as a secret; at a terminal one line, asked for and not echoed. Never from an argument or the environment. */
export async function readSecret(question: string, bytesMax = bytesMaxUsual): Promise<Secret> {
  const text = process.stdin.isTTY ? await ask(question) : await readAll(bytesMax);
  if (text.trim() === "") throw new KeyturnError("input-invalid", "standard input was empty");
  return new Secret(text);
}

async function readAll(bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    const piece = Buffer.from(chunk);
    bytes += piece.length;
    if (bytes > bytesMax)
      throw new KeyturnError("input-invalid", `standard input has more than ${bytesMax} bytes`);
    chunks.push(piece);
  }
  const all = Buffer.concat(chunks);
  // What Windows writes into a pipe or a file may be UTF-16, and says so by its first two bytes.
  return all.toString(all[0] === 0xff && all[1] === 0xfe ? "utf16le" : "utf8");
}

async function ask(question: string): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  const closed = new AbortController();
  reader.once("close", () => closed.abort());
  // In raw mode Ctrl-C is a mere character: it has to end the command as anywhere else.
  reader.once("SIGINT", () => {
    process.emit("SIGINT", "SIGINT");
    reader.close();
  });
  process.stderr.write(question);
  try {
    return await reader.question("", { signal: closed.signal });
  } catch (cause) {
    throw new KeyturnError("input-invalid", "standard input was empty", { cause });
  } finally {
    reader.close();
    process.stderr.write("\n");
  }
}
