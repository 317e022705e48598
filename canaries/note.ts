import { appendFileSync } from "node:fs";

/** Adds to a file of its owner's alone. A process that is not allowed to write, or has no room to, is not disturbed by being watched. */
export function note(file: string, text: string | Uint8Array): void {
  try {
    appendFileSync(file, text, { mode: 0o600 });
  } catch {
    return;
  }
}
