import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadRotator, rotatorTypes } from "../rotators/registry.ts";

/** Writes overlaps.ts: a function that rotates nothing has no rotators in its bundle, and has to know this of them. */
export function renderOverlaps(overlaps: ReadonlyMap<string, string>): string {
  const rows = [...overlaps].map(
    ([type, overlap]) => `  [${JSON.stringify(type)}, ${JSON.stringify(overlap)}],\n`,
  );
  return `// Written by \`npm run gen\` from the files of rotators/. Do not edit.

/** Whether old and new of a credential type live side by side, by type. */
export const overlaps: ReadonlyMap<string, "both-live" | "cutover"> = new Map([
${rows.join("")}]);
`;
}

/** What the credential types say of themselves. */
export async function findOverlaps(): Promise<ReadonlyMap<string, string>> {
  const rows = rotatorTypes.map(async (type) => [type, (await loadRotator(type)).overlap] as const);
  return new Map(await Promise.all(rows));
}

if (import.meta.main) {
  const path = join(import.meta.dirname, "overlaps.ts");
  const text = renderOverlaps(await findOverlaps());
  if (readFileSync(path, { encoding: "utf8", flag: "a+" }) !== text) writeFileSync(path, text);
}
