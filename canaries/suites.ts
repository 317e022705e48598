import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const root = join(import.meta.dirname, "..");

/** The suite of a file of tests: its folder, and below integration/ what needs a service of its own. */
export function suiteOf(testFile: string): string {
  const path = relative(root, testFile);
  const [suite = path] =
    /^integration\/aws\/(stack|installation)(?=\/)|^integration\/aws(?=\/)|^[^/]+/.exec(path) ?? [];
  return suite.replace(/^integration\//, "");
}

/** What a suite has planted in the environment of its tests. */
export function inEnvironment(suite: string): string {
  return `${suite} (environment)`;
}

/**
 * All that must have planted values when these files of tests were run: each suite in its environment, and each whose tests have to do with
 * secrets by letting one out.
 */
export function plantedBy(testFiles: readonly string[]): readonly string[] {
  // A program plants when it runs, and not where parts of it are tested.
  const ofPrograms = [...programs().values()].map(suiteOf);
  const suites = testFiles
    .filter(handlesSecrets)
    .map(suiteOf)
    .filter((suite) => !ofPrograms.includes(suite));
  return [...new Set([...testFiles.map((file) => inEnvironment(suiteOf(file))), ...suites])];
}

/** Whether it, or what it takes from its own folder, knows what a secret is. */
function handlesSecrets(testFile: string): boolean {
  const text = readFileSync(testFile, "utf8");
  const beside = [...text.matchAll(/^(?:import|\}) .*from "(\.\/[\w.-]+\.ts)";$/gm)].map(([, path = ""]) =>
    readFileSync(join(dirname(testFile), path), "utf8"),
  );
  return [text, ...beside].some((one) =>
    /^import .*\bSecret\b.* from "[./]+\/(?:core\/)?secret\.ts";$/m.test(one),
  );
}

/** All files of tests that there are. */
export function testFiles(): readonly string[] {
  const exclude = ["**/node_modules/**", "dist/**", ".aws-emulators/**"];
  return globSync(["**/*.test.ts", ".ci/*.test.ts"], { cwd: root, exclude }).map((path) => join(root, path));
}

/** The programs of the project that `.ci/run` runs by npm, and the file that each begins with. */
export function programs(): ReadonlyMap<string, string> {
  const { scripts }: { scripts: Record<string, string> } = JSON.parse(
    readFileSync(join(root, "package.json"), "utf8"),
  );
  const run = readFileSync(join(root, ".ci/run"), "utf8");
  return new Map(
    Object.entries(scripts).flatMap(([name, script]) => {
      const [, file] = /node (\w+\/main\.ts)$/.exec(script) ?? [];
      // What looks for values has none of its own.
      const isRun = run.includes(`npm run --silent ${name}`) && name !== "canaries";
      return file !== undefined && isRun ? [[`npm run ${name}`, join(root, file)] as const] : [];
    }),
  );
}

/** The program that begins with this file, if it is one of them. */
export function programOf(file: string | undefined): string | undefined {
  return [...programs()].find(([, begins]) => begins === file)?.[0];
}
