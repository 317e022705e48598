import { isTelling } from "./fingerprint.ts";
import { readings } from "./leaked-readings.ts";
import type { Fingerprinter } from "./ports.ts";
import type { Secret } from "./secret.ts";

/**
 * A text that somebody found where it should not be, with a secret value somewhere in it. What it may hold stays in here; only
 * fingerprints come out.
 */
export class LeakedText {
  /** False: it was too large for every part of it to be tried. */
  readonly complete: boolean;
  readonly #texts: ReadonlySet<string>;

  constructor(pasted: Secret) {
    const { texts, complete } = readings(pasted.reveal(), isTelling);
    this.complete = complete;
    this.#texts = texts;
  }

  /** Of every value that it may hold, by every key there is. */
  fingerprints(fingerprinter: Pick<Fingerprinter, "candidates">): readonly string[] {
    return [...this.#texts].flatMap((text) => fingerprinter.candidates(text));
  }

  /** However it is printed, it says nothing. */
  toJSON(): string {
    return "[leaked text]";
  }
}
