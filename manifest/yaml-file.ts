import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Pair,
  parseDocument,
  visit,
  type YAMLError,
  type YAMLMap,
} from "yaml";
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
  // Its own search for keys that stand twice takes the square of their number.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const at = (offset: number, field: FieldPath, message: string): Problem => {
    const { line, col } = lines.linePos(offset);
    return { file: path, line: Math.max(line, 1), column: Math.max(col, 1), field, message };
  };
  const problems = toldOnce([...document.errors, ...document.warnings]).map((error) =>
    at(error.pos[0], [], `not usable YAML: ${inOurWords(error)}`),
  );
  problems.push(
    ...unusable(document).map(({ offset, reason }) => at(offset, [], `not usable YAML: ${reason}`)),
  );
  const pairs = new PairsByName();
  const read = problems.length > 0 ? { value: undefined } : toPlainData(document);
  if (read.failure !== undefined) problems.push(at(0, [], `not usable YAML: ${read.failure}`));
  return {
    path,
    value: read.value,
    problems,
    problem: (field, message, part = "value") => at(offsetOf(document, pairs, field, part), field, message),
  };
}

/** Where its stack ends, the parser mostly says so several times, once for each level that has no room to: then that alone is told, and once. */
function toldOnce(errors: readonly YAMLError[]): readonly YAMLError[] {
  const tooDeep = errors.find(isTooDeep);
  return tooDeep === undefined ? errors : [tooDeep];
}

function isTooDeep({ message }: YAMLError): boolean {
  return message.includes("call stack");
}

function inOurWords(error: YAMLError): string {
  if (error.code === "MULTIPLE_DOCS") return "a manifest is one document, and here a second one begins";
  if (isTooDeep(error)) return "it is nested too deeply";
  return error.message.replaceAll(/\s+/g, " ");
}

/** What is YAML by its grammar, and no data. */
function unusable(document: Document): readonly { readonly offset: number; readonly reason: string }[] {
  const found: { readonly offset: number; readonly reason: string }[] = [];
  visit(document, {
    Map: (_, { items }) => {
      const seen = new Set<string>();
      for (const { key } of items) {
        if (!isScalar(key)) continue;
        const name = String(key.value);
        if (seen.has(name)) {
          found.push({ offset: startOf(key) ?? 0, reason: "this key stands twice in one mapping" });
        }
        seen.add(name);
      }
    },
    Alias: (_, alias, around) => {
      const target = alias.resolve(document);
      if (target === undefined || !around.some((node) => node === target)) return;
      found.push({ offset: startOf(alias) ?? 0, reason: "this alias stands inside of what it repeats" });
    },
  });
  return found;
}

/** The pairs of mappings that were looked into, so that many names in one mapping are not searched for one by one. */
class PairsByName {
  readonly #known = new WeakMap<YAMLMap, ReadonlyMap<string, Pair>>();

  find(mapping: YAMLMap, name: string): Pair | undefined {
    const known =
      this.#known.get(mapping) ??
      new Map(mapping.items.map((pair) => [String(isScalar(pair.key) ? pair.key.value : pair.key), pair]));
    this.#known.set(mapping, known);
    return known.get(name);
  }
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
function offsetOf(document: Document, pairs: PairsByName, field: FieldPath, part: "value" | "name"): number {
  let offset = startOf(document.contents) ?? 0;
  let node: unknown = document.contents;
  for (const step of field) {
    const inside = isAlias(node) ? node.resolve(document) : node;
    if (isMap(inside)) {
      const pair = pairs.find(inside, String(step));
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
