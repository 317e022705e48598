import type { Finding } from "../core/rotator.ts";

interface ImportRequest {
  readonly ref: string;
  readonly type: string;
  readonly by: string;
  /** Only looks, and changes nothing. */
  readonly plan: boolean;
}

/** What was found, or what was done, and the login's name. */
export type ImportedThere =
  | { readonly login: string; readonly findings: readonly Finding[] }
  | { readonly login: string; readonly imported: DoneThere };

export interface DoneThere {
  readonly answer: "imported" | "known";
  readonly version: string;
  readonly findable: boolean;
}

/** Has what a store holds imported by whoever reaches both the store and the target. Throws whatever it has come to there. */
export type ImportThere = (request: ImportRequest, signal: AbortSignal) => Promise<ImportedThere>;
