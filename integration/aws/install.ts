import { createHash } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startGuarded } from "./guarded.ts";
import { lockFolder } from "./install-lock.ts";
import { type Part, parts } from "./parts.ts";

/** Where the emulators are. It is no part of what is checked in, and `npm ci` leaves it alone. */
const root = process.env.KEYTURN_EMULATORS ?? join(import.meta.dirname, "../../.aws-emulators");

/** Written last: a folder without it is one whose installation was interrupted. */
const stampName = "installed";

/** What a shell answers for a command that is not there. */
const notFound = 127;

/** The folder of an emulator as this checkout pins it. What is missing is installed, by one process at a time. */
export async function installed(name: keyof typeof parts): Promise<string> {
  const part = parts[name];
  const folder = join(root, `${name}-${pinOf(part)}`);
  if (isComplete(folder)) return folder;
  using _lock = await lockFolder(root, () => say(`${part.title}: another process is installing`));
  if (isComplete(folder)) return folder;
  const began = performance.now();
  say(`${part.title}: installing into ${folder}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const command of part.commands(folder)) await run(command, folder, part);
  writeFileSync(join(folder, stampName), "");
  say(`${part.title}: installed in ${Math.round((performance.now() - began) / 1_000)} s`);
  return folder;
}

/** The same pins, the same folder: two checkouts that differ may share a root. */
function pinOf({ pins }: Part): string {
  const hash = createHash("sha256");
  for (const path of pins) hash.update(readFileSync(path)).update("\0");
  return hash.digest("hex").slice(0, 12);
}

function isComplete(folder: string): boolean {
  return existsSync(join(folder, stampName));
}

async function run(command: readonly string[], folder: string, { title, needs }: Part): Promise<void> {
  const logPath = join(folder, "install.log");
  const output = openSync(logPath, "a");
  const code = await startGuarded(command, { folder, output }).ended;
  closeSync(output);
  if (code === 0) return;
  if (code === notFound) throw new Error(`${title} needs ${needs}; there is no ${command[0]} on the path`);
  const said = readFileSync(logPath, "utf8").slice(-4_000);
  throw new Error(`${command.join(" ")} ended with exit code ${code}:\n${said}`);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

if (import.meta.main) {
  for (const name of ["dynamodb-local", "ministack", "localstack"] as const) await installed(name);
}
