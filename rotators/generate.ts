import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Writes registry.ts from what lies in this folder, so that a new credential type is one file and its test. A type's file bears the
 * type's name and exports `rotator`.
 */
export function renderRegistry(types: readonly string[]): string {
  const names = types.map((type) => JSON.stringify(type));
  const line = `export const rotatorTypes = [${names.join(", ")}] as const;`;
  // As the formatter would have it, so that a generated file needs no second hand.
  const list =
    line.length <= 110 ? line : line.replace(/\[.*\]/, `[\n${names.map((name) => `  ${name},\n`).join("")}]`);
  const key = (type: string) => (/^[a-z0-9]+$/.test(type) ? type : JSON.stringify(type));
  return `// Written by \`npm run gen\` from the files of this folder. Do not edit.
import { KeyturnError } from "../core/errors.ts";
import type { Rotator } from "../core/rotator.ts";

/** Every type that there is. */
${list}

type RotatorType = (typeof rotatorTypes)[number];

/** A type's driver is loaded with it, and only then. */
const loaders: Readonly<Record<RotatorType, () => Promise<{ readonly rotator: Rotator }>>> = {
${types.map((type) => `  ${key(type)}: () => import("./${type}.ts"),`).join("\n")}
};

/** Throws \`config-invalid\` for a type that does not exist, and names the one that was probably meant. */
export async function loadRotator(type: string): Promise<Rotator> {
  const known = rotatorTypes.find((each) => each === type);
  if (known === undefined) {
    const types = rotatorTypes.toSorted((a, b) => distance(type, a) - distance(type, b));
    throw new KeyturnError("config-invalid", \`there is no type \${type}; did you mean \${types[0]}?\`);
  }
  return (await loaders[known]()).rotator;
}

/** How many letters have to be put in, taken out or changed. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (const [line, letter] of [...from].entries()) {
    const next = [line + 1];
    for (const [column, other] of [...to].entries()) {
      const changed = (row[column] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(changed, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
`;
}

export function findTypes(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && /^[a-z0-9-]+\.ts$/.test(entry.name))
    .map((entry) => entry.name.slice(0, -".ts".length))
    .filter((name) => name !== "registry" && name !== "generate")
    .toSorted();
}

if (import.meta.main) {
  const path = join(import.meta.dirname, "registry.ts");
  const text = renderRegistry(findTypes(import.meta.dirname));
  if (readFileSync(path, { encoding: "utf8", flag: "a+" }) !== text) writeFileSync(path, text);
}
