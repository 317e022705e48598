import { globSync, realpathSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { KeyturnError } from "../core/errors.ts";
import { type Problem, shortPath } from "./problem.ts";
import { parseYaml, type YamlFile } from "./yaml-file.ts";

/** Gives the text of a file, or throws what the file system throws. */
export type ReadText = (path: string) => string;

export interface FilesRead {
  /** The root first, then what it includes, in the order of the patterns and of the names that each one matches. */
  readonly files: readonly YamlFile[];
  readonly problems: readonly Problem[];
}

/** Reads a manifest and what it includes, and what that includes; each file once. Patterns are relative to the file they stand in. */
export function readWithIncludes(root: string, readText: ReadText): FilesRead {
  const files = [parseYaml(root, readRoot(root, readText))];
  const known = new Set([identityOf(root)]);
  const problems: Problem[] = [];
  // The list grows while it is walked, so that included files may include more.
  for (const file of files) {
    problems.push(...file.problems);
    for (const { pattern, field } of includePatterns(file)) {
      const paths = globSync(pattern, { cwd: dirname(file.path) }).map((found) =>
        resolve(dirname(file.path), found),
      );
      // A pattern that matches nothing would take secrets out of Keyturn's care without a word.
      if (paths.length === 0) problems.push(file.problem(field, `"${pattern}" matches no file`));
      for (const path of paths.toSorted()) {
        if (known.has(identityOf(path))) continue;
        known.add(identityOf(path));
        try {
          files.push(parseYaml(path, readText(path)));
        } catch (error) {
          problems.push(file.problem(field, `${shortPath(path)} ${reasonOf(error)}`));
        }
      }
    }
  }
  return { files, problems };
}

function includePatterns(
  file: YamlFile,
): readonly { readonly pattern: string; readonly field: (string | number)[] }[] {
  const { include }: { readonly include?: unknown } = Object(file.value);
  if (!Array.isArray(include)) return [];
  return include.flatMap((pattern, index) =>
    typeof pattern === "string" && pattern !== "" ? [{ pattern, field: ["include", index] }] : [],
  );
}

function readRoot(root: string, readText: ReadText): string {
  try {
    return readText(root);
  } catch (error) {
    throw new KeyturnError("manifest-invalid", `${shortPath(root)} ${reasonOf(error)}`, { cause: error });
  }
}

/** One file by several names, or by a link that leads back to its own folder, is one file. */
function identityOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    // What is not there, or may not be looked at, says so when it is read.
    return path;
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof KeyturnError) return error.message;
  const { code } = Object(error);
  if (code === "ENOENT") return "is not there; `keyturn init` makes a manifest, and --manifest names one";
  if (code === "EACCES" || code === "EPERM") return "may not be read by this user";
  return `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
}
