import { checkImports } from "./architecture.imports.ts";
import {
  dotted,
  folderOf,
  isCode,
  isNode,
  isTest,
  lineOf,
  nodesOf,
  type SourceFile,
  type SyntaxNode,
} from "./architecture.source.ts";

/** Says what is wrong with a tree, a line for each place; nothing when it keeps the rule. */
export type Rule = (files: readonly SourceFile[]) => readonly string[];

/** What is always or never so, whatever else changes. */
export const rules = {
  "who may import what": checkImports,
  "time and chance come in by the door": byNode(isPureRoom, clockOrChance),
  "nothing escapes the types": byNode(() => true, typeEscape),
  "no cast but `as const`": byNode((file) => !isTest(file.path), cast),
  "no check is switched off": perFile(isCode, switchedOff),
  "every test runs": byNode((file) => isTest(file.path), leftOut),
  "no file is long": perFile(isCode, tooLong),
  "no file only passes on what others export": perFile((file) => file.path.endsWith(".ts"), barrel),
  "no folder is named after nothing": perFile(() => true, namelessFolder),
  "every credential type has its test beside it": untestedTypes,
  "every script is there, and what it runs": brokenScripts,
  "the README speaks of the scripts that there are": undocumentedScripts,
  "the lock file works with every registry": perFile(
    (file) => file.path === "package-lock.json",
    boundToOneRegistry,
  ),
} as const satisfies Record<string, Rule>;

function perFile(
  applies: (file: SourceFile) => boolean,
  check: (file: SourceFile) => readonly string[],
): Rule {
  return (files) =>
    files.filter(applies).flatMap((file) => check(file).map((breach) => `${file.path}: ${breach}`));
}

function byNode(
  applies: (file: SourceFile) => boolean,
  check: (node: SyntaxNode) => string | undefined,
): Rule {
  return perFile(
    (file) => isCode(file) && applies(file),
    (file) =>
      nodesOf(file).flatMap((node) => {
        const breach = check(node);
        return breach === undefined ? [] : [`line ${lineOf(file, node.start)}: ${breach}`];
      }),
  );
}

/** core/ and rotators/; the script that writes the registry is no part of a rotation. */
function isPureRoom({ path }: SourceFile): boolean {
  return ["core", "rotators"].includes(folderOf(path)) && !isTest(path) && path !== "rotators/generate.ts";
}

const clocks = ["Date.now", "Math.random", "performance.now", "process.hrtime", "AbortSignal.timeout"];
const timers = ["setTimeout", "setInterval", "setImmediate"];
const chance = ["randomBytes", "randomUUID", "randomInt", "randomFillSync", "getRandomValues", "webcrypto"];

function clockOrChance(node: SyntaxNode): string | undefined {
  if (node.type === "MemberExpression" && clocks.includes(dotted(node))) return dotted(node);
  if (node.type === "Identifier" && [...timers, ...chance].includes(dotted(node))) return dotted(node);
  const { callee, arguments: given } = node;
  const isNow =
    node.type === "NewExpression" && dotted(callee) === "Date" && Array.isArray(given) && given.length === 0;
  return isNow ? "new Date()" : undefined;
}

function typeEscape(node: SyntaxNode): string | undefined {
  if (node.type === "TSAnyKeyword") return "any";
  return node.type === "TSNonNullExpression"
    ? "a `!` that promises what the compiler does not know"
    : undefined;
}

function cast(node: SyntaxNode): string | undefined {
  if (node.type !== "TSAsExpression" && node.type !== "TSTypeAssertion") return undefined;
  const { typeName } = Object(node.typeAnnotation);
  return dotted(typeName) === "const" ? undefined : "a cast";
}

function switchedOff({ text }: SourceFile): readonly string[] {
  // Put together here, so that this file does not break its own rule.
  const marks = [
    "@ts-" + "ignore",
    "@ts-" + "nocheck",
    "biome-" + "ignore",
    "eslint-" + "disable",
    "v8 " + "ignore",
  ];
  return marks.filter((mark) => text.includes(mark));
}

function leftOut(node: SyntaxNode): string | undefined {
  if (node.type !== "MemberExpression") return undefined;
  const [suite, ...modifiers] = dotted(node).split(".");
  const isSuite = ["it", "test", "describe"].includes(suite ?? "");
  const found = modifiers.at(-1) ?? "";
  return isSuite && ["skip", "only", "todo", "skipIf", "runIf", "fails"].includes(found)
    ? dotted(node)
    : undefined;
}

function tooLong({ path, text }: SourceFile): readonly string[] {
  const most = isTest(path) ? 500 : 300;
  const lines = text.trimEnd().split("\n").length;
  return lines > most ? [`${lines} lines; ${most} are enough for one thing`] : [];
}

function barrel(file: SourceFile): readonly string[] {
  const [program] = nodesOf(file);
  const statements: readonly unknown[] = Array.isArray(program?.body) ? program.body : [];
  const passesOn = statements.some((statement) => isNode(statement) && statement.type.startsWith("Export"));
  const onlyThat = statements.every(
    (statement) =>
      isNode(statement) && /^(Import|Export)/.test(statement.type) && !isNode(statement.declaration),
  );
  return passesOn && onlyThat ? ["a barrel file: import from where the thing is"] : [];
}

function namelessFolder({ path }: SourceFile): readonly string[] {
  const nameless = path
    .split("/")
    .slice(0, -1)
    .filter((folder) => /^(utils?|common|helpers?|types?|misc|shared|lib)$/.test(folder));
  return nameless.map((folder) => `a folder named ${folder}`);
}

function untestedTypes(files: readonly SourceFile[]): readonly string[] {
  const paths = new Set(files.map(({ path }) => path));
  return [...paths]
    .filter((path) => /^rotators\/[^/]+\.ts$/.test(path) && !isTest(path) && path !== "rotators/registry.ts")
    .filter((path) => !paths.has(path.replace(/\.ts$/, ".test.ts")))
    .map((path) => `${path}: no test beside it`);
}

const promised = [
  "check",
  "format",
  "lint",
  "types",
  "unused",
  "test",
  "test:integration",
  "demo",
  "bench",
  "gen",
  "build",
];

function brokenScripts(files: readonly SourceFile[]): readonly string[] {
  const scripts = scriptsIn(files);
  const missing = promised
    .filter((name) => !scripts.has(name))
    .map((name) => `package.json: no script ${name}`);
  const paths = new Set(files.map(({ path }) => path));
  const dangling = [...scripts].flatMap(([name, command]) =>
    [...command.matchAll(/\bnode (\S+)/g), ...command.matchAll(/(?:-p|--config) (\S+)/g)]
      .filter(([, file]) => file !== undefined && !paths.has(file))
      .map(([, file]) => `package.json: script ${name} runs ${file}, which is not there`),
  );
  const unknown = [...scripts].flatMap(([name, command]) =>
    namedScripts(command)
      .filter((called) => !scripts.has(called))
      .map((called) => `package.json: script ${name} calls ${called}, which is not there`),
  );
  return [...missing, ...dangling, ...unknown];
}

function undocumentedScripts(files: readonly SourceFile[]): readonly string[] {
  const readme = files.find(({ path }) => path === "README.md");
  if (readme === undefined) return ["README.md: not there"];
  const scripts = scriptsIn(files);
  const named = new Set(namedScripts(readme.text));
  const silent = ["check", "test", "test:integration", "demo", "bench"].filter((name) => !named.has(name));
  const documents = files.filter(({ path }) => path.endsWith(".md"));
  return [
    ...silent.map((name) => `README.md: says nothing of the script ${name}`),
    ...documents.flatMap(({ path, text }) =>
      namedScripts(text)
        .filter((name) => !scripts.has(name))
        .map((name) => `${path}: the script ${name} is not there`),
    ),
  ];
}

function namedScripts(text: string): readonly string[] {
  const called = [...text.matchAll(/\bnpm run (?:--silent |-s )?([a-z][a-z:-]*)/g)].map(
    ([, name]) => name ?? "",
  );
  return /\bnpm test\b/.test(text) ? [...called, "test"] : called;
}

function scriptsIn(files: readonly SourceFile[]): ReadonlyMap<string, string> {
  const text = files.find(({ path }) => path === "package.json")?.text ?? "{}";
  const { scripts }: { readonly scripts?: unknown } = JSON.parse(text);
  return new Map(Object.entries(Object(scripts)).map(([name, command]) => [name, String(command)]));
}

function boundToOneRegistry({ text }: SourceFile): readonly string[] {
  return /"resolved":\s*"(?!file:)/.test(text) ? ["names a host to download from"] : [];
}
