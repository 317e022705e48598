import { rmSync } from "node:fs";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { check, complaintsOf, type Expected, type Place, summaryOf } from "./check.ts";
import { makeRunFolder, runFolder, variable } from "./run-folder.ts";
import { plantedBy } from "./suites.ts";
import { keepTemporaryFolders } from "./watch.ts";
import { keepPrinted, lookAtProcesses } from "./watch-process.ts";
import { recordSpawns } from "./watch-spawns.ts";

/** What a run of all tests of a project must have left behind; a run of some of them is searched as it is. */
const places: Readonly<Record<string, readonly Place[]>> = {
  unit: ["journals", "events", "audit", "stores", "database logs", "process lists", "other temporary files"],
  integration: [
    "journals",
    "events",
    "audit",
    "stores",
    "database logs",
    "process lists",
    "printed by processes",
    "traces, metrics and logs sent",
    "other temporary files",
  ],
  aws: ["emulators' logs", "process lists"],
  stack: ["emulators' logs", "log groups", "tables, buckets and queues", "process lists"],
  installation: [
    "emulators' logs",
    "log groups",
    "tables, buckets and queues",
    "database logs",
    "process lists",
  ],
};
/** Of these the tests start programs of ours, which plant values of their own. */
const starting = ["unit", "integration"];

/** The projects of this run that have begun, the first one first: whose end comes last. Each project has modules of its own, and all have one process. */
const begun = Symbol.for("keyturn.canaries.projects");

/**
 * Gives a run a folder in which everything that it writes is kept, and looks for every secret value in it when the run is over. Whoever sets
 * KEYTURN_CANARIES keeps the folder and looks for more.
 */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const others: TestProject[] | undefined = Reflect.get(globalThis, begun);
  if (others !== undefined) {
    others.push(project);
    return undefined;
  }
  const projects = [project];
  Reflect.set(globalThis, begun, projects);
  const given = process.env[variable];
  const folder = given ?? makeRunFolder();
  const run = runFolder(folder);
  process.env[variable] = folder;
  process.env.TMPDIR = run.temporary;
  const preload = `--import=${join(import.meta.dirname, "preload.mjs")}`;
  process.env.NODE_OPTIONS = [process.env.NODE_OPTIONS, preload].filter(Boolean).join(" ");
  // What emulators wrote is removed by this very process, which starts them, and prints what the tests print and the errors that end them.
  keepTemporaryFolders(folder);
  keepPrinted(folder);
  recordSpawns(join(run.processes, `${process.pid}`));
  await lookAtProcesses(folder);
  return async () => {
    const checked = check(folder);
    console.error(summaryOf(checked));
    const asked = await Promise.all(projects.map(expectedOf));
    const complaints = complaintsOf(checked, {
      suites: asked.flatMap(({ suites }) => suites),
      places: asked.flatMap((one) => one.places),
    });
    if (complaints.length > 0) throw new Error(complaints.join("\n"));
    if (given === undefined) rmSync(folder, { recursive: true, force: true });
  };
}

/** Of a project whose files were all run, each suite that has files must have planted values, and each place must be there. */
async function expectedOf(project: TestProject): Promise<Expected> {
  const { testFiles } = await project.globTestFiles();
  const ran = project.vitest.state.getFiles().filter(({ projectName }) => projectName === project.name);
  if (ran.length < testFiles.length) return { suites: [], places: [] };
  const own = starting.includes(project.name) ? ["processes"] : [];
  return { suites: [...own, ...plantedBy(testFiles)], places: places[project.name] ?? [] };
}
