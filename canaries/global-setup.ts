import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { check, complaintsOf, type Place, summaryOf } from "./check.ts";
import { ProcessWatch } from "./process-watch.ts";
import { makeRunFolder, runFolder, variable } from "./run-folder.ts";

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
};

/**
 * Gives a run a folder in which everything that it writes is kept, and looks for every secret value in it when the run is over. Whoever sets
 * KEYTURN_CANARIES keeps the folder and looks for more.
 */
export default function setup(project: TestProject): () => Promise<void> {
  const given = process.env[variable];
  const folder = given ?? makeRunFolder();
  const run = runFolder(folder);
  process.env[variable] = folder;
  process.env.TMPDIR = run.temporary;
  const preload = `--import=${join(import.meta.dirname, "preload.mjs")}`;
  process.env.NODE_OPTIONS = [process.env.NODE_OPTIONS, preload].filter(Boolean).join(" ");
  const processes = new ProcessWatch([""], 500);
  return async () => {
    processes[Symbol.dispose]();
    writeFileSync(join(run.processes, `${process.pid}`), processes.seen.join("\n"));
    const checked = check(folder);
    console.error(summaryOf(checked));
    const { testFiles } = await project.globTestFiles();
    const ran = project.vitest.state.getFiles().filter(({ projectName }) => projectName === project.name);
    const isWhole = ran.length >= testFiles.length;
    const nothing = { suites: [], places: [] };
    const complaints = complaintsOf(checked, isWhole ? (expected[project.name] ?? nothing) : nothing);
    if (complaints.length > 0) throw new Error(complaints.join("\n"));
    if (given === undefined) rmSync(folder, { recursive: true, force: true });
  };
}
