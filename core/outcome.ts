import type { ErrorCode } from "./errors.ts";
import type { Debt, VersionMark } from "./record.ts";

/** A step that did not come to its end. */
export interface Failure {
  readonly result: "failed";
  readonly code: ErrorCode;
  readonly disposition: "retry" | "reject" | "halt";
  /** Free of values. */
  readonly message: string;
}

/** What one step came to. */
export type Outcome =
  | {
      readonly step: "create";
      readonly result: "saved";
      readonly pending: VersionMark;
      /** What the store has as current: the truth, should someone have changed it there. */
      readonly current: VersionMark | undefined;
      /** That is the login which the record has as current by another version. */
      readonly isRenamed?: boolean;
    }
  | { readonly step: "create"; readonly result: "foreign"; readonly pending: VersionMark }
  | { readonly step: "set" | "test" | "finish" | "announce" | "undo"; readonly result: "done" }
  /** The store has the candidate as current: what should be taken back is out. */
  | { readonly step: "undo"; readonly result: "published" }
  | { readonly step: "confirm"; readonly result: "works" | "unknown" }
  | { readonly step: "confirm"; readonly result: "refused"; readonly previousWorks: boolean }
  | {
      readonly step: "settle";
      readonly debt: Debt;
      /** `gone`: the store has disabled the value, which it does only once it was proven refused. */
      readonly result: "refused" | "gone";
      readonly sessionsEnded: number;
      readonly survives: readonly string[];
    }
  | {
      readonly step: "settle";
      readonly debt: Debt;
      readonly result: "in-use";
      readonly clients: readonly string[];
    }
  /** It has leaked, and is the login of what the store has as current, which nobody has told so far. */
  | { readonly step: "settle"; readonly debt: Debt; readonly result: "named"; readonly current: VersionMark }
  | ({ readonly step: "settle"; readonly debt: Debt } & Failure)
  | ({ readonly step: "confirm" } & Failure)
  | ({ readonly step: "create" | "set" | "test" | "finish" | "announce" | "undo" } & Failure);
