import type { Rotator } from "./rotator.ts";
import type { Secret } from "./secret.ts";

/** Whether two values hold one login, in the same words or in others. What the type cannot read is like itself alone. */
export function areAlike(
  rotator: Pick<Rotator, "checkCredential" | "accountOf" | "secretFields">,
  one: Secret,
  other: Secret,
): boolean {
  if (one.equals(other)) return true;
  try {
    for (const value of [one, other]) rotator.checkCredential(value);
  } catch {
    return false;
  }
  if (rotator.accountOf(one) !== rotator.accountOf(other)) return false;
  const [mine, theirs] = [rotator.secretFields(one), rotator.secretFields(other)];
  const names = new Set([...Object.keys(mine), ...Object.keys(theirs)]);
  return names.size > 0 && [...names].every((name) => isEqual(mine[name], theirs[name]));
}

function isEqual(one: Secret | undefined, other: Secret | undefined): boolean {
  return one !== undefined && other !== undefined && one.equals(other);
}
