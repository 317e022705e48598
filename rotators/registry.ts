// Written by `npm run gen` from the files of this folder. Do not edit.
import { KeyturnError } from "../core/errors.ts";
import type { Rotator } from "../core/rotator.ts";

/** Every type that there is. */
export const rotatorTypes = ["aws-iam-access-key", "postgres-alternating", "postgres-password"] as const;

type RotatorType = (typeof rotatorTypes)[number];

/** A type's driver is loaded with it, and only then. */
const loaders: Readonly<Record<RotatorType, () => Promise<{ readonly rotator: Rotator }>>> = {
  "aws-iam-access-key": () => import("./aws-iam-access-key.ts"),
  "postgres-alternating": () => import("./postgres-alternating.ts"),
  "postgres-password": () => import("./postgres-password.ts"),
};

/** Throws `config-invalid` for a type that does not exist, and names the one that was probably meant. */
export async function loadRotator(type: string): Promise<Rotator> {
  const known = rotatorTypes.find((each) => each === type);
  if (known === undefined) {
    const types = rotatorTypes.toSorted((a, b) => distance(type, a) - distance(type, b));
    throw new KeyturnError("config-invalid", `there is no type ${type}; did you mean ${types[0]}?`);
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
