import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { check, complaintsOf, type Place, summaryOf } from "./check.ts";
import { ProcessWatch } from "./process-watch.ts";
import { makeRunFolder, runFolder, variable } from "./run-folder.ts";
import { keepTemporaryFolders } from "./watch.ts";

/** What a run of all tests of a project must have planted and left behind; a run of some of them is searched as it is. */
const expected: Readonly<Record<string, { suites: readonly string[]; places: readonly Place[] }>> = {
  unit: {
    suites: ["agent", "cli", "core", "local", "notify", "rotators", "telemetry", "processes"],
    places: [
      "journals",
      "events",
      "audit",
      "stores",
      "database logs",
      "process lists",
      "other temporary files",
    ],
  },
  integration: {
    suites: ["integration", "processes"],
    places: [
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
  },
  aws: { suites: ["aws"], places: ["emulators' logs", "process lists"] },
  stack: {
    suites: ["aws/stack"],
    places: ["emulators' logs", "log groups", "tables, buckets and queues", "process lists"],
  },
  installation: {
    suites: ["aws/stack"],
    places: ["emulators' logs", "log groups", "tables, buckets and queues", "database logs", "process lists"],
  },
};

/** The projects of this run that have begun, the first one first: whose end comes last. Each project has modules of its own, and all have one process. */
const begun = Symbol.for("keyturn.canaries.projects");

/**
 * Gives a run a folder in which everything that it writes is kept, and looks for every secret value in it when the run is over. Whoever sets
 * KEYTURN_CANARIES keeps the folder and looks for more.
 */
export default function setup(project: TestProject): (() => Promise<void>) | undefined {
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
  // What emulators wrote is removed by this very process.
  keepTemporaryFolders(folder);
  const processes = new ProcessWatch([""], 500);
  return async () => {
    processes[Symbol.dispose]();
    writeFileSync(join(run.processes, `${process.pid}`), processes.seen.join("\n"));
    const checked = check(folder);
    console.error(summaryOf(checked));
    const whole = await Promise.all(projects.map(async (one) => ((await isWhole(one)) ? [one.name] : [])));
    const asked = whole.flat().flatMap((name) => expected[name] ?? []);
    const complaints = complaintsOf(checked, {
      suites: asked.flatMap(({ suites }) => suites),
      places: asked.flatMap(({ places }) => places),
    });
    if (complaints.length > 0) throw new Error(complaints.join("\n"));
    if (given === undefined) rmSync(folder, { recursive: true, force: true });
  };
}

/** Whether all files of it were run. */
async function isWhole(project: TestProject): Promise<boolean> {
  const { testFiles } = await project.globTestFiles();
  const ran = project.vitest.state.getFiles().filter(({ projectName }) => projectName === project.name);
  return ran.length >= testFiles.length;
}
