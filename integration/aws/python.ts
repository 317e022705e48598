import { execFileSync } from "node:child_process";
import { globSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** The versions that the pinned packages were tried with, the better one first. */
const versions = ["3.13", "3.12"];

/** Also says whether it can make an environment: some systems leave that out. */
const question = "import sys, ensurepip, venv; print('%d.%d' % sys.version_info[:2])";

/** A Python that can run the emulators: one on the path, or one that pyenv has. */
export function findPython(): string {
  const pyenv = process.env.PYENV_ROOT ?? join(homedir(), ".pyenv");
  for (const version of versions) {
    const candidates = [
      `python${version}`,
      "python3",
      ...globSync(`versions/${version}.*/bin/python3`, { cwd: pyenv }).map((path) => join(pyenv, path)),
    ];
    const found = candidates.find((candidate) => versionOf(candidate) === version);
    if (found !== undefined) return found;
  }
  throw new Error(
    `the AWS emulators need Python ${versions.join(" or ")} with venv and ensurepip, on the path or in pyenv (${pyenv}); none was found`,
  );
}

function versionOf(python: string): string | undefined {
  try {
    return execFileSync(python, ["-c", question], { encoding: "utf8", stdio: "pipe" }).trim();
  } catch {
    // It is not there, or has no such module.
    return undefined;
  }
}
