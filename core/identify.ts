import type { LeakedText } from "./leaked.ts";
import type { FingerprintMatch, Ports } from "./ports.ts";

/** Which versions of which secrets have a value that is in a leaked text. Only fingerprints are compared; the text goes nowhere. */
export async function identify(
  { journal, fingerprinter }: Pick<Ports, "journal" | "fingerprinter">,
  leaked: LeakedText,
): Promise<readonly FingerprintMatch[]> {
  return journal.identify(leaked.fingerprints(fingerprinter));
}
