import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { inEnvironment, plantedBy, programOf, programs, suiteOf, testFiles } from "./suites.ts";

const root = join(import.meta.dirname, "..");

test.each([
  ["core/secret.test.ts", "core"],
  ["rotators/postgres/fence.test.ts", "rotators"],
  ["architecture.test.ts", "architecture.test.ts"],
  ["integration/cli/cli.test.ts", "integration"],
  ["integration/aws/iam.test.ts", "aws"],
  ["integration/aws/stack/audit.test.ts", "aws/stack"],
  ["integration/aws/installation/rotation.test.ts", "aws/installation"],
])("the suite of %s is %s", (path, suite) => expect(suiteOf(join(root, path))).toBe(suite));

test("every folder with tests is a suite that must plant values, and those whose tests handle secrets their own", () => {
  const files = testFiles();
  const planted = plantedBy(files);
  for (const file of files) expect(planted).toContain(inEnvironment(suiteOf(file)));
  expect(planted).toEqual(expect.arrayContaining(["core", "functions", "rotators", "integration"]));
  expect(planted).not.toContain("dashboards");
});

test("every program that the whole run runs is watched, and must plant values", () => {
  expect([...programs().keys()]).toEqual(
    expect.arrayContaining(["npm run demo", "npm run bench", "npm run faults"]),
  );
  const lines = readFileSync(join(root, ".ci/run"), "utf8").split("\n");
  for (const [name, file] of programs()) {
    const [line = ""] = lines.filter(
      (one) => one.startsWith("part ") && one.includes(`${name.replace("npm run", "npm run --silent")}`),
    );
    expect(line).toContain(`env "$${"{watched[@]}"}"`);
    expect(programOf(file)).toBe(name);
  }
  expect(programOf(join(root, "cli/main.ts"))).toBeUndefined();
});
