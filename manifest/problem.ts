import { isAbsolute, relative } from "node:path";
import { KeyturnError } from "../core/errors.ts";

/** One thing that is wrong with the manifest. Its message never quotes a value that might be a secret. */
export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly field: FieldPath;
  readonly message: string;
}

export type FieldPath = readonly (string | number)[];

/** All problems as one error, in the order in which a reader of the files meets them. */
export function manifestError(problems: readonly Problem[], files: readonly string[]): KeyturnError {
  const inOrder = problems.toSorted(
    (one, other) =>
      files.indexOf(one.file) - files.indexOf(other.file) ||
      one.line - other.line ||
      one.column - other.column,
  );
  const lines = inOrder.map((problem) => {
    const field = formatField(problem.field);
    return `${formatPlace(problem)}: ${field === "" ? "" : `${field}: `}${problem.message}`;
  });
  const only = lines.length === 1 ? lines[0] : undefined;
  const message = only ?? `the manifest has ${lines.length} problems:\n  ${lines.join("\n  ")}`;
  return new KeyturnError("manifest-invalid", message);
}

/** `file:line:column`, the file as seen from the working directory where it lies beneath it. */
export function formatPlace(place: {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}): string {
  return `${shortPath(place.file)}:${place.line}:${place.column}`;
}

export function shortPath(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere === "" || fromHere.startsWith("..") || isAbsolute(fromHere) ? path : fromHere;
}

/** `secrets["billing/db"].schedule.every`, as one would write it in code. */
function formatField(path: FieldPath): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === "number") return `${text}[${step}]`;
    if (!/^[A-Za-z_][A-Za-z0-9_-]*$/.test(step)) return `${text}[${JSON.stringify(step)}]`;
    return text === "" ? step : `${text}.${step}`;
  }, "");
}
