// Counts what .ci/run has done: `node count.mjs <folder>`. The folder has `parts.tsv`, a line for each part and the code that
// it ended with, the last line of a part being the one that counts; and for parts that are tests `<part>.json`, vitest's
// report. Tests count one by one and every other part as one. The last line is the sum, and the exit code says whether all is
// well. Plain JavaScript, for it must also run on the Node that could not install the right one.
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

const folder = process.argv[2] ?? ".";
const counts = [...readParts()].map(([name, code]) => ({ name, code, ...countPart(name, code) }));
const failures = counts.flatMap((count) =>
  count.failures.map((failure) => `FAILED  ${count.name}: ${failure}`),
);
const told =
  failures.length > 20 ? [...failures.slice(0, 20), `… and ${failures.length - 20} more`] : failures;
const sum = (key) => counts.reduce((total, count) => total + count[key], 0);

console.log("");
for (const { name, code, passed, failed, skipped } of counts) {
  const more = skipped === 0 ? "" : `, ${skipped} skipped`;
  console.log(
    `${failed === 0 ? "passed" : "FAILED"}  ${name} (exit code ${code}): ${passed} passed, ${failed} failed${more}`,
  );
}
for (const name of told) console.log(name);
const passed = sum("passed");
// Nothing done is nothing proven.
const failed = passed === 0 ? Math.max(1, sum("failed")) : sum("failed");
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function readParts() {
  const file = join(folder, "parts.tsv");
  const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n") : [];
  return new Map(lines.filter((line) => line !== "").map((line) => line.split("\t")));
}

function countPart(name, code) {
  const isTests = name === "test" || name.startsWith("test:");
  if (!isTests)
    return code === "0"
      ? { passed: 1, failed: 0, skipped: 0, failures: [] }
      : { passed: 0, failed: 1, skipped: 0, failures: [] };
  const report = readReport(name);
  if (report === undefined) return { passed: 0, failed: 1, skipped: 0, failures: [] };
  const results = report.testResults.flatMap((file) => file.assertionResults.map((result) => result.status));
  const passed = results.filter((status) => status === "passed").length;
  const skipped = results.filter((status) => status !== "passed" && status !== "failed").length;
  // A file that could not even be loaded has no tests of its own to fail.
  const unloaded = report.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.every((result) => result.status !== "failed"),
  ).length;
  const told = results.filter((status) => status === "failed").length + unloaded;
  // Errors outside of any test, no tests at all, and an end before the end fail the part too.
  const isWell = code === "0" && report.success === true && passed > 0;
  return { passed, failed: isWell ? told : Math.max(1, told), skipped, failures: listFailures(report) };
}

// What failed by its name and the first words of why, for whoever sees the end of the output alone.
function listFailures(report) {
  return report.testResults.flatMap((file) => {
    const failed = file.assertionResults.filter((result) => result.status === "failed");
    const tests = failed.map((result) => tell(file.name, result.fullName, result.failureMessages?.[0]));
    return tests.length === 0 && file.status === "failed" ? [tell(file.name, "", file.message)] : tests;
  });
}

function tell(file = "", title = "", message = "") {
  const place = relative(process.cwd(), file);
  return `${place} ${title}: ${message.replaceAll(/\s+/g, " ").slice(0, 300)}`;
}

function readReport(name) {
  try {
    return JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));
  } catch {
    return undefined;
  }
}
