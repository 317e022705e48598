// What was compiled for one command is there for the next, which is then there the sooner. Whoever can write into that folder could run
// anything as whoever types the command: it is one of theirs that nobody else can write into, and not one of where they happen to be, or there is none.
import { lstatSync, mkdirSync } from "node:fs";
import module from "node:module";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

try {
  const base = process.env.XDG_CACHE_HOME ?? "";
  const folder = join(isAbsolute(base) ? base : join(homedir(), ".cache"), "keyturn");
  if (isAbsolute(folder)) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (isOurs(lstatSync(folder))) module.enableCompileCache(folder);
  }
} catch {
  // Without a home, or a right to write there, everything is compiled each time.
}

function isOurs(found) {
  const { getuid } = process;
  // Windows has neither; there the profile's folder is the user's.
  if (getuid === undefined) return found.isDirectory();
  return found.isDirectory() && found.uid === getuid() && (found.mode & 0o022) === 0;
}
