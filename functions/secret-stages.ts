/**
 * The labels on the versions of one secret, and what they mean. Secrets Manager moves AWSCURRENT, AWSPREVIOUS and AWSPENDING; ours are
 * `keyturn-<version>`, the pin that keeps a value that may be owed from being removed; `keyturn-discarded-<version>`, a candidate that was put
 * aside; and `keyturn-void-<version>`, an id that was put aside before it had a value.
 */
export class Stages {
  readonly #versions: ReadonlyMap<string, readonly string[]>;

  constructor(versions: Readonly<Record<string, readonly string[]>>) {
    this.#versions = new Map(Object.entries(versions));
  }

  has(version: string): boolean {
    return this.#versions.has(version);
  }

  isPinned(version: string): boolean {
    return this.#labelsOf(version).includes(pinOf(version));
  }

  /** It can never be pending again. */
  isClosed(version: string): boolean {
    return isClosed(version, this.#labelsOf(version));
  }

  holderOf(label: string): string | undefined {
    return [...this.#versions].find(([, labels]) => labels.includes(label))?.[0];
  }

  /** The version that readers get; undefined where AWSCURRENT is on one that never had a value. */
  get current(): string | undefined {
    const holder = this.holderOf("AWSCURRENT");
    return holder === undefined || isValueless(holder, this.#labelsOf(holder)) ? undefined : holder;
  }

  get pending(): string | undefined {
    const holder = this.holderOf("AWSPENDING");
    return holder !== undefined && stageOf(holder, this.#labelsOf(holder)) === "pending" ? holder : undefined;
  }

  /** It was current once, and still shows it. */
  wasPromoted(version: string): boolean {
    return [this.holderOf("AWSCURRENT"), this.holderOf("AWSPREVIOUS")].includes(version);
  }

  /** How many labels there are on all versions together: AWS allows 20. */
  get size(): number {
    return [...this.#versions.values()].flat().length;
  }

  #labelsOf(version: string): readonly string[] {
    return this.#versions.get(version) ?? [];
  }
}

/**
 * The version that a secret begins with. AWS makes the first value of a secret current by itself, whatever labels are asked for, and a
 * candidate must not be that.
 */
export const baseVersion = "keyturn-begins-here-and-holds-no-value";
export const baseLabel = "keyturn-base";

/** What a version holds that has no value: readers that know nothing of it fail clearly. */
export const noValue = JSON.stringify({ keyturn: "no value yet" });

export function pinOf(version: string): string {
  return `keyturn-${version}`;
}

export function discardedOf(version: string): string {
  return `keyturn-discarded-${version}`;
}

export function voidOf(version: string): string {
  return `keyturn-void-${version}`;
}

/** AWSPENDING on a version that was promoted, or put aside, says nothing: AWS leaves it where it is when a rotation has ended. */
export function stageOf(
  version: string,
  labels: readonly string[],
): "pending" | "current" | "previous" | undefined {
  if (isValueless(version, labels)) return undefined;
  if (labels.includes("AWSCURRENT")) return "current";
  if (labels.includes("AWSPREVIOUS")) return "previous";
  return labels.includes("AWSPENDING") && !isClosed(version, labels) ? "pending" : undefined;
}

export function isValueless(version: string, labels: readonly string[]): boolean {
  return version === baseVersion || labels.includes(voidOf(version));
}

function isClosed(version: string, labels: readonly string[]): boolean {
  return isValueless(version, labels) || labels.includes(discardedOf(version));
}
