/** How many bytes are looked at together; a shorter value is not looked for, for it would be found by chance. */
export const windowBytes = 16;

const base = 0x01000193;
const bits = 24;

/** Finds any of many values in any bytes, whole, at a cost that does not grow with how many there are. */
export class Search {
  readonly #byHash = new Map<number, Buffer[]>();
  /** Which hashes there are, for a quick no. */
  readonly #may = new Uint8Array(1 << (bits - 3));

  constructor(values: Iterable<string>) {
    const known = new Set<string>();
    for (const value of values) for (const form of formsOf(value)) known.add(form);
    for (const form of known) this.#add(Buffer.from(form));
  }

  /** Where the first of them begins; undefined where there is none. */
  in(bytes: Uint8Array): number | undefined {
    if (bytes.length < windowBytes) return undefined;
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    let hash = hashOf(view);
    for (let at = 0; ; at += 1) {
      if (this.#maybe(hash) && this.#isAt(view, at, hash)) return at;
      const next = view[at + windowBytes];
      if (next === undefined) return undefined;
      hash = (Math.imul(hash - Math.imul(view[at] ?? 0, highest), base) + next) | 0;
    }
  }

  #add(form: Buffer): void {
    if (form.length < windowBytes) return;
    const hash = hashOf(form);
    const slot = hash >>> (32 - bits);
    this.#may[slot >>> 3] = (this.#may[slot >>> 3] ?? 0) | (1 << (slot & 7));
    this.#byHash.set(hash, [...(this.#byHash.get(hash) ?? []), form]);
  }

  #maybe(hash: number): boolean {
    const slot = hash >>> (32 - bits);
    return ((this.#may[slot >>> 3] ?? 0) & (1 << (slot & 7))) !== 0;
  }

  #isAt(view: Buffer, at: number, hash: number): boolean {
    const forms = this.#byHash.get(hash) ?? [];
    return forms.some((form) => view.subarray(at, at + form.length).equals(form));
  }
}

/** A value as it is, and as it stands in a URL, in JSON, and where a whole text was put into base 64. */
function formsOf(value: string): readonly string[] {
  const encoded = Buffer.from(value).toString("base64").replace(/=+$/, "");
  return [value, encodeURIComponent(value.toWellFormed()), JSON.stringify(value).slice(1, -1), encoded];
}

/** The base to the power of what stands behind the first byte of a window. */
const highest = Array.from({ length: windowBytes - 1 }).reduce<number>((power) => Math.imul(power, base), 1);

function hashOf(bytes: Buffer): number {
  let hash = 0;
  for (const byte of bytes.subarray(0, windowBytes)) hash = (Math.imul(hash, base) + byte) | 0;
  return hash;
}
