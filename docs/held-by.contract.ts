import { dotted, importsOf, nodesOf, type SourceFile } from "../architecture.source.ts";

/** What a page says in tables whose last column names the tests that hold it. */
export const heldBy = "held by";

export interface Promised {
  readonly what: string;
  readonly by: readonly { readonly file: string; readonly title: string }[];
}

/** The rows of the tables whose last column says by what they are held. */
export function promisesIn(text: string): readonly Promised[] {
  const found: Promised[] = [];
  let isOfPromises = false;
  for (const line of text.split("\n")) {
    if (!line.startsWith("|")) {
      isOfPromises = false;
      continue;
    }
    const cells = line.split(" | ").map((cell) => cell.replaceAll(/^\||\|$/g, "").trim());
    if (isOfPromises && !line.startsWith("|---")) {
      found.push({ what: cells.at(-2) ?? "", by: referencesIn(cells.at(-1) ?? "") });
    }
    isOfPromises ||= cells.at(-1) === heldBy;
  }
  return found;
}

function referencesIn(cell: string): Promised["by"] {
  return cell.split("<br>").flatMap((one) => {
    const [, file, title] = /^`([^`]+)` › (.+)$/.exec(one) ?? [];
    return file === undefined || title === undefined ? [] : [{ file, title }];
  });
}

/** What a promise lacks: a test, its file, or its title there. */
export function lacks(promised: Promised, files: readonly SourceFile[]): readonly string[] {
  if (promised.by.length === 0) return [`no test holds: ${promised.what}`];
  return promised.by.flatMap(({ file, title }) => {
    const found = files.find(({ path }) => path === file);
    if (found === undefined || !isRun(found, files)) return [`${file} is no file of tests`];
    return titlesOf(found).has(title) ? [] : [`${file} has no test: ${title}`];
  });
}

/** A contract is run by the tests that import it. */
function isRun(file: SourceFile, files: readonly SourceFile[]): boolean {
  if (file.path.endsWith(".test.ts")) return true;
  const tests = files.filter(({ path }) => path.endsWith(".test.ts"));
  return (
    file.path.endsWith(".contract.ts") &&
    tests.some((test) => importsOf(test).some(({ target }) => target === file.path))
  );
}

/** Of tests and of groups of them; and the names of rows in tables of a test's own, which are its titles where it says `%s`. */
function titlesOf(file: SourceFile): ReadonlySet<string> {
  const titles = nodesOf(file).flatMap((node) => {
    switch (node.type) {
      case "CallExpression": {
        const isSuite = ["it", "test", "describe"].includes(dotted(node.callee).split(".")[0] ?? "");
        return isSuite && Array.isArray(node.arguments) ? [node.arguments[0]] : [];
      }
      case "Property":
        return Object(node.key).value === undefined && dotted(node.key) !== "name"
          ? [{ value: dotted(node.key) }]
          : [node.key, node.value];
      case "ArrayExpression":
        return Array.isArray(node.elements) && node.elements.length > 1 ? [node.elements[0]] : [];
      default:
        return [];
    }
  });
  return new Set(titles.map((title) => Object(title).value).filter((value) => typeof value === "string"));
}

/** Of tests alone, as they stand there. */
export function testsOf(file: SourceFile): readonly string[] {
  return nodesOf(file).flatMap((node) => {
    const isTest = node.type === "CallExpression" && /^(it|test)(\.each)?$/.test(dotted(node.callee));
    const title: unknown =
      isTest && Array.isArray(node.arguments) ? Object(node.arguments[0]).value : undefined;
    return typeof title === "string" ? [title] : [];
  });
}
