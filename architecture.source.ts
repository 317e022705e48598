import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path/posix";
import { parseSync } from "vite";

/** A file of the tree: its path from the root, with `/`, and what is in it. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** A node of the syntax tree. Read by a parser that knows TypeScript, so that nothing hides in a string or behind a line break. */
export type SyntaxNode = Readonly<Record<string, unknown>> & {
  readonly type: string;
  readonly start: number;
};

/** Everything that we have written: code, documents and configuration, without what was installed or built. */
export function readTree(root: string): readonly SourceFile[] {
  const patterns = ["**/*.ts", "**/*.mjs", "**/*.md", "*.json", ".ci/*"];
  const exclude = ["**/node_modules/**", "dist/**", "coverage/**", "**/.keyturn/**", ".aws-emulators/**"];
  return globSync(patterns, { cwd: root, exclude })
    .toSorted()
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}

export function isCode(file: SourceFile): boolean {
  return /\.(ts|mjs)$/.test(file.path);
}

/** Tests, the contract suites that they call, and what they share. They may do what the code may not. */
export function isTest(path: string): boolean {
  return /\.(test|contract)\.ts$|(^|\/)fixtures\//.test(path);
}

/** The folder at the root that a path is in; "" for files of the root. */
export function folderOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : "";
}

export function lineOf(file: SourceFile, offset: number): number {
  return file.text.slice(0, offset).split("\n").length;
}

const nodesOfFile = new WeakMap<SourceFile, readonly SyntaxNode[]>();

/** Every node of a file's syntax tree, outer ones first. A file that cannot be parsed is a reason to stop, not to pass. */
export function nodesOf(file: SourceFile): readonly SyntaxNode[] {
  const known = nodesOfFile.get(file);
  if (known !== undefined) return known;
  const { program, errors } = parseSync(file.path, file.text);
  if (errors.length > 0) throw new Error(`${file.path} cannot be parsed: ${errors[0]?.message}`);
  const nodes = [...walk(program)];
  nodesOfFile.set(file, nodes);
  return nodes;
}

function* walk(value: unknown): Generator<SyntaxNode> {
  if (Array.isArray(value)) {
    for (const item of value) yield* walk(item);
  } else if (typeof value === "object" && value !== null) {
    if (isNode(value)) yield value;
    yield* walk(Object.values(value));
  }
}

export function isNode(value: unknown): value is SyntaxNode {
  return (
    typeof value === "object" &&
    value !== null &&
    "type" in value &&
    typeof value.type === "string" &&
    "start" in value
  );
}

/** What a file imports, exports from elsewhere, loads lazily or takes a type from. */
export interface Import {
  /** A path from the root for files of ours, the specifier for everything else; undefined if it is only known at run time. */
  readonly target: string | undefined;
  readonly isOurs: boolean;
  readonly names: readonly string[];
  readonly line: number;
}

export function importsOf(file: SourceFile): readonly Import[] {
  return nodesOf(file).flatMap((node) => {
    const specifier = specifierOf(node);
    if (specifier === undefined) return [];
    const { value } = specifier;
    const text = typeof value === "string" ? value : undefined;
    const isOurs = text?.startsWith(".") ?? false;
    const target = isOurs ? join(dirname(file.path), text ?? "") : text;
    return [{ target, isOurs, names: importedNames(node), line: lineOf(file, node.start) }];
  });
}

const importing = [
  "ImportDeclaration",
  "ImportExpression",
  "ExportAllDeclaration",
  "ExportNamedDeclaration",
  "TSImportType",
  "TSExternalModuleReference",
];

function specifierOf(node: SyntaxNode): SyntaxNode | undefined {
  if (isRequire(node)) return firstArgument(node);
  if (!importing.includes(node.type)) return undefined;
  const specifier = node.source ?? node.argument ?? node.expression;
  return isNode(specifier) ? specifier : undefined;
}

function isRequire(node: SyntaxNode): boolean {
  return node.type === "CallExpression" && ["require", "import.meta.resolve"].includes(dotted(node.callee));
}

function firstArgument(node: SyntaxNode): SyntaxNode | undefined {
  const first: unknown = Array.isArray(node.arguments) ? node.arguments[0] : undefined;
  return isNode(first) ? first : undefined;
}

function importedNames(node: SyntaxNode): readonly string[] {
  const specifiers = Array.isArray(node.specifiers) ? node.specifiers : [];
  return specifiers.map((specifier) => dotted(Object(specifier).imported ?? Object(specifier).local));
}

/** `Date.now` for the member expression, `it` for the identifier, "" for what has no such name. */
export function dotted(node: unknown): string {
  if (!isNode(node)) return "";
  if (node.type === "Identifier") return String(node.name);
  if (node.type === "MetaProperty") return `${dotted(node.meta)}.${dotted(node.property)}`;
  if (node.type === "CallExpression") return dotted(node.callee);
  if (node.type !== "MemberExpression") return "";
  const property = node.computed === true ? Object(node.property).value : Object(node.property).name;
  return `${dotted(node.object)}.${String(property)}`;
}
