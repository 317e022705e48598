import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import type { FieldPath, Problem } from "./problem.ts";

/** A parsed YAML file that knows where everything in it stands. */
export interface YamlFile {
  readonly path: string;
  /** As plain data; undefined where the text is not YAML. */
  readonly value: unknown;
  /** What the YAML parser had to say. */
  readonly problems: readonly Problem[];
  /** A problem with the value of that field, or with its name, or with the nearest thing around it that is there. */
  problem(field: FieldPath, message: string, part?: "value" | "name"): Problem;
}

/** Never throws: a text that is not YAML has problems and no value. */
export function parseYaml(path: string, text: string): YamlFile {
  const lines = new LineCounter();
  // The parser's pretty messages quote the source, and the source may hold what should never have been in it.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number, field: FieldPath, message: string): Problem => {
    const { line, col } = lines.linePos(offset);
    return { file: path, line: Math.max(line, 1), column: Math.max(col, 1), field, message };
  };
  const problems = [...document.errors, ...document.warnings].map((error) =>
    at(error.pos[0], [], `not usable YAML: ${inOurWords(error.code, error.message)}`),
  );
  const read = problems.length > 0 ? { value: undefined } : toPlainData(document);
  if (read.failure !== undefined) problems.push(at(0, [], `not usable YAML: ${read.failure}`));
  return {
    path,
    value: read.value,
    problems,
    problem: (field, message, part = "value") => at(offsetOf(document, field, part), field, message),
  };
}

function inOurWords(code: string, message: string): string {
  if (code === "MULTIPLE_DOCS") return "a manifest is one document, and here a second one begins";
  if (code === "DUPLICATE_KEY") return "this key stands twice in one mapping";
  return message.replaceAll(/\s+/g, " ");
}

function toPlainData(document: Document): { readonly value: unknown; readonly failure?: string } {
  try {
    const value: unknown = document.toJS();
    return { value };
  } catch (error) {
    // Aliases that lead nowhere, or that unfold into millions of values.
    return { value: undefined, failure: error instanceof Error ? error.message : String(error) };
  }
}

/** Scalars are pointed at where they stand; a mapping, a list and what is missing, at the key that should lead to it. */
function offsetOf(document: Document, field: FieldPath, part: "value" | "name"): number {
  let offset = startOf(document.contents) ?? 0;
  let node: unknown = document.contents;
  for (const step of field) {
    const inside = isAlias(node) ? node.resolve(document) : node;
    if (isMap(inside)) {
      const pair = inside.items.find(({ key }) => String(isScalar(key) ? key.value : key) === String(step));
      if (pair === undefined) return offset;
      offset = startOf(pair.key) ?? offset;
      node = pair.value;
    } else if (isSeq(inside)) {
      node = inside.items[Number(step)];
      offset = startOf(node) ?? offset;
    } else {
      return offset;
    }
  }
  const pointsAtValue = part === "value" && isScalar(node) && node.value !== null;
  return pointsAtValue ? (startOf(node) ?? offset) : offset;
}

function startOf(node: unknown): number | undefined {
  if (!isScalar(node) && !isMap(node) && !isSeq(node) && !isAlias(node)) return undefined;
  return node.range?.[0];
}
