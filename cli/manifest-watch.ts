import { statSync } from "node:fs";

/** Files are looked at again and again: what file systems tell of changes by themselves differs too much. */
const lookMs = 1_000;
/** A pattern of `include` may match a file that came later; for it the whole manifest is read again this often. */
const readEvery = 60;

/**
 * Tells that the files of a manifest have changed, once nobody writes them any more; and, with false, that it is time to look for
 * files that came later.
 */
export class ManifestWatch implements Disposable {
  readonly #files: () => readonly string[];
  readonly #changed: (isChanged: boolean) => void;
  readonly #timer: NodeJS.Timeout;
  /** The files as they were when they were last told, and as they were at the last look. */
  #told: string;
  #seen: string;
  #looks = 0;

  constructor(
    files: () => readonly string[],
    changed: (isChanged: boolean) => void,
    everyMs: number = lookMs,
  ) {
    this.#files = files;
    this.#changed = changed;
    this.#told = fingerprintOf(files());
    this.#seen = this.#told;
    this.#timer = setInterval(() => this.#look(), everyMs).unref();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    this.#looks += 1;
    const found = fingerprintOf(this.#files());
    const isAtRest = found === this.#seen;
    this.#seen = found;
    const mayInclude = this.#files().length > 1 && this.#looks % readEvery === 0;
    const isChanged = found !== this.#told;
    if (!isAtRest || !(isChanged || mayInclude)) return;
    this.#changed(isChanged);
    // The files may be others now.
    this.#told = fingerprintOf(this.#files());
    this.#seen = this.#told;
  }
}

/** Without reading them. A link counts as what it leads to. */
function fingerprintOf(files: readonly string[]): string {
  return files.map((file) => `${file} ${stateOf(file)}`).join("\n");
}

function stateOf(file: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(" ");
  } catch (error) {
    return String(Object(error).code);
  }
}
