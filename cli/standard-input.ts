import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { KeyturnError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";

const bytesMax = 1_000_000;

/** The whole of standard input as a secret; at a terminal one line, asked for and not echoed. Never from an argument or the environment. */
export async function readSecret(question: string): Promise<Secret> {
  const text = process.stdin.isTTY ? await ask(question) : await readAll();
  if (text.trim() === "") throw new KeyturnError("input-invalid", "standard input was empty");
  return new Secret(text);
}

async function readAll(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    const piece = Buffer.from(chunk);
    bytes += piece.length;
    if (bytes > bytesMax)
      throw new KeyturnError("input-invalid", `standard input has more than ${bytesMax} bytes`);
    chunks.push(piece);
  }
  return Buffer.concat(chunks).toString("utf8");
}

async function ask(question: string): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  process.stderr.write(question);
  try {
    return await reader.question("");
  } finally {
    reader.close();
    process.stderr.write("\n");
  }
}
