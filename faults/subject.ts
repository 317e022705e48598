import type { Secret } from "../core/secret.ts";

/** A credential at a target of its own, as it is before Keyturn has it, and what there is to ask of that target. */
export interface Target {
  readonly config: unknown;
  /** The administering credential. */
  readonly admin: Secret;
  readonly administersItself: boolean;
  /** Whether the target accepts a value, as the store holds it. Only a clear answer counts as refused; anything else throws. */
  accepts(value: string): Promise<boolean>;
  /** What is at the target that should not be there in the end, in a person's words; given the value that is current. */
  left(current: string | undefined): Promise<readonly string[]>;
}

/** What is put to the proof: a credential type, or one use of it. All that the harness knows of a type and its target stands here. */
export interface Subject {
  readonly name: string;
  readonly type: string;
  readonly overlap: "both-live" | "cutover";
  arrange(): Promise<Target>;
}
