import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { check, complaintsOf, summaryOf } from "./check.ts";
import { makeRunFolder, runFolder, variable } from "./run-folder.ts";
import { plantedBy, programs, testFiles } from "./suites.ts";

const usage = `npm run canaries -- --make
npm run canaries -- FOLDER [REPORTS]

Looks for every secret value of a run in all that the run left behind.
--make   makes the folder of a run, and prints what to put into the environment of its commands, a variable a line
FOLDER   the folder of a run that is over, or what --make printed of it; it is removed when nothing was found
REPORTS  a folder with more files to search, such as what the commands printed`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { make: { type: "boolean", default: false }, help: { type: "boolean", default: false } },
});
const [given, reports] = positionals;
const folder = given?.replace(`${variable}=`, "");
if (values.make) {
  const made = makeRunFolder();
  const preload = `--import=${import.meta.dirname}/preload.mjs`;
  console.log(`${variable}=${made}\nTMPDIR=${runFolder(made).temporary}\nNODE_OPTIONS=${preload}`);
} else if (folder === undefined) {
  console.error(usage);
  process.exitCode = values.help ? 0 : 2;
} else {
  const more = reports === undefined ? [] : readdirSync(reports).map((name) => join(reports, name));
  const checked = check(folder, more);
  const complaints = complaintsOf(checked, {
    // With reports comes a run of all that there is.
    suites: reports === undefined ? [] : ["processes", ...programs().keys(), ...plantedBy(testFiles())],
    places: ["other temporary files"],
  });
  console.log(summaryOf(checked));
  for (const complaint of complaints) console.error(complaint);
  if (complaints.length > 0) process.exitCode = 1;
  else rmSync(folder, { recursive: true, force: true });
}
