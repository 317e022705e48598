/** A mutant that no test can notice, because the code does the same with it. It is not counted. */
export interface Equivalent {
  readonly source: string;
  /** The line that it is on, without the space around it. */
  readonly line: string;
  /** What the mutant puts there. */
  readonly replacement: string;
  /** Why nobody could tell the difference. */
  readonly reason: string;
}

export const equivalents: readonly Equivalent[] = [];
