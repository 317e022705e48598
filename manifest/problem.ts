import { isAbsolute, relative } from "node:path";
import { KeyturnError } from "../core/errors.ts";

/** Where something stands. Lines and columns are counted from 1. */
export interface Place {
  /** Absolute. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** One thing that is wrong with the manifest. Its message never quotes a value that might be a secret. */
export interface Problem extends Place {
  readonly field: FieldPath;
  readonly message: string;
}

export type FieldPath = readonly (string | number)[];

/** All problems as one error, in the order in which a reader of the files meets them. */
export function manifestError(problems: readonly Problem[], files: readonly string[]): KeyturnError {
  const lines = inReadingOrder(problems, files).map(
    (problem) => `${formatPlace(problem)}: ${formatProblem(problem)}`,
  );
  const only = lines.length === 1 ? lines[0] : undefined;
  const message = only ?? `the manifest has ${lines.length} problems:\n  ${lines.join("\n  ")}`;
  return new KeyturnError("manifest-invalid", message);
}

/** In the order in which a reader of the files meets them. */
export function inReadingOrder<Placed extends Place>(
  found: readonly Placed[],
  files: readonly string[],
): readonly Placed[] {
  const order = new Map(files.map((file, index) => [file, index]));
  const at = (file: string): number => order.get(file) ?? files.length;
  return found.toSorted(
    (one, other) => at(one.file) - at(other.file) || one.line - other.line || one.column - other.column,
  );
}

/** The field and what is wrong with it. */
export function formatProblem({ field, message }: Problem): string {
  return field.length === 0 ? message : `${formatField(field)}: ${message}`;
}

/** `file:line:column`, the file as seen from the working directory where it lies beneath it. */
export function formatPlace(place: Place): string {
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
