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

const idle = {
  source: "core/transition.ts",
  line: 'return state.phase === "idle" ? undefined : state.rotation;',
  reason: "An idle state has no rotation to read either; the condition is there for the compiler.",
};
const telling = {
  source: "core/fingerprint.ts",
  reason: "A shortcut: more characters never make a text tell less, and fewer than twelve never tell enough.",
};

export const equivalents: readonly Equivalent[] = [
  { ...idle, replacement: "false" },
  { ...idle, replacement: '""' },
  { ...telling, line: "if (text.length < charactersMin) return false;", replacement: "false" },
  {
    ...telling,
    line: "entropyBits(text.slice(0, beginning)) >= entropyFloorBits ||",
    replacement: "text",
  },
  {
    ...telling,
    line: "(text.length > beginning && entropyBits(text) >= entropyFloorBits)",
    replacement: "true",
  },
  {
    ...telling,
    line: "(text.length > beginning && entropyBits(text) >= entropyFloorBits)",
    replacement: "text.length >= beginning",
  },
  {
    source: "core/diagnose.ts",
    line: 'if (record === undefined || isOutdated(seen) || record.state.phase === "halted") return false;',
    replacement: "false",
    reason:
      "Where there is no record, what it says is outdated too; the condition is there for the compiler.",
  },
  {
    source: "core/errors.ts",
    line: "export const errorCodes: readonly ErrorCode[] = Object.keys(table).filter((code) => isErrorCode(code));",
    replacement: "Object.keys(table)",
    reason: "Every key of the table is a code; the filter is there for the compiler.",
  },
];
