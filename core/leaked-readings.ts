import { base64Texts, meanings } from "./leaked-meanings.ts";
import {
  assigned,
  literals,
  namedValues,
  parts,
  shellWords,
  userinfos,
  wholes,
  words,
} from "./leaked-pieces.ts";

export interface Readings {
  readonly texts: ReadonlySet<string>;
  /** False: the text is so large, or so deep, that not every part of it was tried. */
  readonly complete: boolean;
}

/** Bounds on the work for one text, whatever is in it. */
export interface Bounds {
  /** That may be the value. */
  readonly texts: number;
  /** Of all that was tried. */
  readonly charactersTried: number;
  /** The text and what is wrapped in it. */
  readonly regions: number;
  readonly charactersUnfolded: number;
  readonly depth: number;
}

/** With these a log of a megabyte stays well below a second. */
export const usualBounds: Bounds = {
  texts: 24_000,
  charactersTried: 12_000_000,
  regions: 4_000,
  charactersUnfolded: 6_000_000,
  depth: 8,
};

/** To look at a piece costs something besides its length. In characters. */
const pieceCost = 32;

/** The likeliest first, over the whole text, so that a bound that is reached has cost the least likely ones. */
const passes: readonly ((region: string) => Iterable<string>)[] = [
  wholes,
  literals,
  userinfos,
  namedValues,
  shellWords,
  words,
  assigned,
  parts,
];

/**
 * Every value that a pasted text may have in it: a bare one, a line of a log or of an `.env` file, an address, a connection string,
 * JSON, quoted, escaped, in base64, and each of these in another. Pure. `accepts` says which texts can be a value at all.
 */
export function readings(
  pasted: string,
  accepts: (text: string) => boolean,
  bounds: Bounds = usualBounds,
): Readings {
  const collector = new Collector(accepts, bounds);
  const unfolded = unfold(pasted, bounds);
  let { complete } = unfolded;
  for (const pass of passes) complete = collector.take(pass, unfolded.regions) && complete;
  return { texts: collector.texts, complete };
}

class Collector {
  readonly texts = new Set<string>();
  readonly #accepts: (text: string) => boolean;
  readonly #textsMax: number;
  #charactersLeft: number;

  constructor(accepts: (text: string) => boolean, bounds: Bounds) {
    this.#accepts = accepts;
    this.#textsMax = bounds.texts;
    this.#charactersLeft = bounds.charactersTried;
  }

  /** False if not everything was tried: no pass takes more than half of what is left, so that something is left for the next. */
  take(pass: (region: string) => Iterable<string>, regions: Iterable<string>): boolean {
    const textsMax = (this.texts.size + this.#textsMax) / 2;
    const leaves = this.#charactersLeft / 2;
    for (const region of regions) {
      for (const piece of pass(region)) {
        this.#add(piece);
        if (this.texts.size >= textsMax || this.#charactersLeft <= leaves) return false;
      }
    }
    return true;
  }

  #add(piece: string): void {
    this.#charactersLeft -= piece.length + pieceCost;
    this.#keep(piece);
    if (/[%+\\&]|''|""|}}|\$\$/.test(piece)) for (const meaning of meanings(piece)) this.#keep(meaning);
  }

  #keep(text: string): void {
    if (!this.texts.has(text) && this.#accepts(text)) this.texts.add(text);
  }
}

/** The text and all that is wrapped in it, the outermost first. */
function unfold(
  pasted: string,
  bounds: Bounds,
): { readonly regions: ReadonlySet<string>; readonly complete: boolean } {
  const regions = new Set([pasted]);
  let layer: readonly string[] = [pasted];
  let charactersLeft = bounds.charactersUnfolded;
  for (let depth = 0; depth < bounds.depth; depth += 1) {
    const inside: string[] = [];
    for (const region of layer) {
      for (const text of unwrapped(region)) {
        charactersLeft -= text.length + pieceCost;
        if (charactersLeft < 0 || regions.size >= bounds.regions) return { regions, complete: false };
        if (regions.has(text)) continue;
        regions.add(text);
        inside.push(text);
      }
    }
    layer = inside;
  }
  return { regions, complete: layer.length === 0 };
}

/** What is written in another way inside: the whole of it, what is in base64, and each literal in it. */
function* unwrapped(region: string): Generator<string> {
  yield* meanings(region);
  yield* base64Texts(region);
  for (const literal of literals(region)) {
    // What holds nothing that is escaped is read as a part of the region, and only counts as work.
    yield* literal.includes("\\") ? meanings(literal) : [""];
  }
}
