import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Stryker } from "@stryker-mutator/core";
import { equivalents } from "./equivalent.ts";
import { pagePath, withScore } from "./page.ts";
import { type Plan, plans } from "./plan.ts";
import { percentOf, Report, type Score, scoreOf } from "./score.ts";

const usage = `npm run mutate -- [--again] [FILE...]

Changes one little thing after another in the files of the rules, and sees whether their tests notice.
FILE     one of the plan: ${plans.map(({ source }) => source).join(", ")}; without any, all of them
--again  takes over from the last run what neither its file nor its tests have changed since; blind to changes elsewhere
Example: npm run mutate -- core/fleet.ts`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { again: { type: "boolean", default: false }, help: { type: "boolean", default: false } },
});
const unknown = positionals.filter((source) => !plans.some((plan) => plan.source === source));
if (values.help || unknown.length > 0) {
  console.error(unknown.length > 0 ? `not in the plan: ${unknown.join(", ")}\n\n${usage}` : usage);
  process.exitCode = values.help ? 0 : 2;
} else {
  const chosen = plans.filter(({ source }) => positionals.length === 0 || positionals.includes(source));
  for (const plan of chosen) await measure(plan, values.again);
}

async function measure(plan: Plan, again: boolean): Promise<void> {
  const { source, leastPercent } = plan;
  console.error(`${source} against ${plan.tests.join(", ")}`);
  const score = scoreOf(source, await mutate(plan, again), equivalents);
  writeFileSync(pagePath, withScore(readFileSync(pagePath, "utf8"), score, leastPercent));
  for (const line of said(score)) console.log(line);
  if (percentOf(score) < leastPercent || score.stale.length > 0) process.exitCode = 1;
}

function said(score: Score): readonly string[] {
  const { source, noticed, mutants, equivalent, unnoticed, stale } = score;
  return [
    `${source}: ${percentOf(score)} % (${noticed} of ${mutants} noticed, ${equivalent} equivalent)`,
    ...unnoticed.map((mutant) => `  unnoticed: ${source}:${mutant}`),
    ...stale.map(({ line }) => `  no longer unnoticed, strike it from the equivalents: ${line}`),
  ];
}

/** The changes are made in a copy of the tree, outside of it. */
async function mutate({ source, tests }: Plan, again: boolean) {
  const folder = mkdtempSync(join(tmpdir(), "keyturn-mutation-"));
  const report = join(folder, "report.json");
  const known = join("node_modules/.cache/keyturn-mutation", `${source.replaceAll("/", "-")}.json`);
  // Not by Stryker's own option for test files: with it, what runs as a module is loaded is never really changed.
  const config = join(folder, "vitest.config.mjs");
  writeFileSync(config, `export default ${JSON.stringify({ test: { include: tests } })};\n`);
  try {
    const stryker = new Stryker({
      mutate: [source],
      vitest: { configFile: config, related: false },
      incrementalFile: known,
      force: !again,
      tempDirName: join(folder, "copies"),
      jsonReporter: { fileName: report },
    });
    await stryker.runMutationTest();
    return Report.parse(JSON.parse(readFileSync(report, "utf8")));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
