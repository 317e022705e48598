import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { alertRules } from "./alerts.ts";
import { keyturnDashboard } from "./keyturn.ts";

/** The files of this folder that are written from its code, by name. */
export function generatedFiles(): Readonly<Record<string, string>> {
  const note = "# Written by `npm run gen` from dashboards/alerts.ts. Do not edit.\n";
  return {
    "keyturn.json": `${JSON.stringify(keyturnDashboard(), null, 2)}\n`,
    "alerts.yaml": `${note}${stringify(alertRules(), { lineWidth: 0 })}`,
  };
}

if (import.meta.main) {
  for (const [name, text] of Object.entries(generatedFiles()))
    writeFileSync(join(import.meta.dirname, name), text);
}
