import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rotatorTypes } from "../rotators/registry.ts";

/**
 * Writes credential-types.ts: a construct is made in one go and cannot wait for a type to be loaded. Types load their drivers when a target is reached, and not
 * before, so whoever deploys needs none of them.
 */
export function renderTypes(types: readonly string[]): string {
  const name = (type: string) => type.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
  return `// Written by \`npm run gen\` from the files of rotators/. Do not edit.
import type { Rotator } from "../core/rotator.ts";
${types.map((type) => `import { rotator as ${name(type)} } from "../rotators/${type}.ts";\n`).join("")}
/** Every credential type, by its name. */
export const credentialTypes: ReadonlyMap<string, Rotator> = new Map(
  [${types.map(name).join(", ")}].map((rotator) => [rotator.type, rotator]),
);
`;
}

if (import.meta.main) {
  const path = join(import.meta.dirname, "credential-types.ts");
  const text = renderTypes(rotatorTypes);
  if (readFileSync(path, { encoding: "utf8", flag: "a+" }) !== text) writeFileSync(path, text);
}
