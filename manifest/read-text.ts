import { readFileSync, statSync } from "node:fs";
import { KeyturnError } from "../core/errors.ts";

const sizeMaxBytes = 16 * 1_024 * 1_024;

/** The text of a file of the manifest. Throws what the file system throws, or says why the file cannot be one. */
export function readText(path: string): string {
  const status = statSync(path);
  if (status.isDirectory()) throw refused("is a folder; name the file in it, such as keyturn.yaml");
  if (status.isCharacterDevice() || status.isBlockDevice()) throw refused("is a device and not a file");
  if (status.size > sizeMaxBytes) {
    throw refused(`has ${status.size} bytes; the most that a manifest may have are ${sizeMaxBytes}`);
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
    // What is saved as UTF-16 without a mark passes for UTF-8 with gaps.
    if (text.includes("\0")) throw new TypeError("a zero byte");
    return text;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw refused("is not text in UTF-8; save it with that encoding");
  }
}

function refused(reason: string): KeyturnError {
  return new KeyturnError("manifest-invalid", reason);
}
