import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundle, entryFile } from "../../../cdk/bundle.ts";

/** Bundles `hosts.ts` into a folder, and tells what to run: many start at once, and each would read some hundred files before it begins. */
export async function bundleHosts(folder: string): Promise<string> {
  const { files } = await bundle(join(import.meta.dirname, "hosts.ts"), []);
  mkdirSync(folder);
  for (const { name, code } of files) writeFileSync(join(folder, name), code);
  return join(folder, entryFile);
}
