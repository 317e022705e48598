import type { FieldPath } from "./problem.ts";

/** Something in a config that is, or may well be, a value that belongs into a store. */
export interface SuspectValue {
  readonly field: FieldPath;
  readonly reason: string;
}

/** A reference to another secret in a config, `{ secret: ref }`. */
export interface FoundReference {
  readonly field: FieldPath;
  readonly ref: string;
}

/** Looks through a config for values that should be references, and for the references that are there. */
export function inspectConfig(
  config: unknown,
  field: FieldPath,
): { readonly suspects: readonly SuspectValue[]; readonly references: readonly FoundReference[] } {
  if (typeof config === "string") return { suspects: suspectText(config, field), references: [] };
  if (typeof config !== "object" || config === null) return { suspects: [], references: [] };
  const found = Object.entries(config).map(([key, value]) => {
    const inner = [...field, Array.isArray(config) ? Number(key) : key];
    const ref = referenceIn(value);
    if (ref !== undefined) return { suspects: [], references: [{ field: [...inner, "secret"], ref }] };
    if (namesASecret(key) && holdsValue(value)) {
      return { suspects: [{ field: inner, reason: "is named like a secret" }], references: [] };
    }
    return inspectConfig(value, inner);
  });
  return {
    suspects: found.flatMap(({ suspects }) => suspects),
    references: found.flatMap(({ references }) => references),
  };
}

const secretNames =
  /(password|passwd|passphrase|pwd|secret|token|credential|(api|ssl|access|secret|signing|private)key)s?$/;
const secretWords = /^(pass|keys?)$/;

/** `password`, `apiKey`, `signing_secret`; not `publicKey`, nor `keyspace`, nor `tokenUrl`. */
export function namesASecret(key: string): boolean {
  const words = key
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^a-z0-9]+/);
  return (
    !words.includes("public") && (secretNames.test(words.join("")) || secretWords.test(words.at(-1) ?? ""))
  );
}

function holdsValue(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(holdsValue);
  return typeof value === "string" || typeof value === "number";
}

function referenceIn(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const entries = Object.entries(value);
  const [key, ref] = entries[0] ?? [];
  return entries.length === 1 && key === "secret" && typeof ref === "string" ? ref : undefined;
}

function suspectText(text: string, field: FieldPath): readonly SuspectValue[] {
  if (/-----BEGIN [A-Z ]*PRIVATE KEY/.test(text)) return [{ field, reason: "is a private key" }];
  if (/:\/\/[^/\s]*:[^/\s]*@/.test(text)) return [{ field, reason: "is an address with a password in it" }];
  if (/\bpass(word|wd)?=/i.test(text)) return [{ field, reason: "has a password in it" }];
  return [];
}
