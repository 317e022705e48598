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

const remembered = {
  source: "core/leaked-pieces.ts",
  line: "if (start >= from && start <= found) return found;",
  reason: "It only saves looking again: callers go back over nothing but the spaces of one line.",
};
const behind = {
  source: "core/leaked-pieces.ts",
  line: "for (let twice = 0; end >= 0 && text[end + 1] === quote && twice < twiceMax; twice += 1) {",
  reason:
    "An end lies behind a start, so it is never 0; what is found from the beginning lies before the start, and is not taken.",
};

const native = { source: "core/native.ts" };
const placeless = {
  ...native,
  replacement: '""',
  reason: "Nobody asks why not of a step that may go on, or is over; the rows are there for the compiler.",
};

export const equivalents: readonly Equivalent[] = [
  { ...placeless, line: 'case "ahead":' },
  { ...placeless, line: 'case "published":' },
  {
    ...native,
    line: "...(observe === undefined ? {} : { observe }),",
    replacement: "false",
    reason:
      "Told undefined, reconcile tells nobody, as when it is told nothing; the condition is there for the compiler.",
  },
  {
    ...native,
    line: "if (order > 0) return;",
    replacement: "false",
    reason: "A shortcut: what the record says of a step that is over is seen again before it is taken.",
  },
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
  { ...remembered, replacement: "false" },
  { ...remembered, replacement: "true" },
  { ...remembered, replacement: "start > from" },
  { ...remembered, replacement: "start < from" },
  { ...remembered, replacement: "start < found" },
  { ...behind, replacement: "true" },
  { ...behind, replacement: "end > 0" },
  {
    source: "core/leaked-readings.ts",
    line: "if (/[%+\\\\&]|''|\"\"|}}|\\$\\$/.test(piece)) for (const meaning of meanings(piece)) this.#keep(meaning);",
    replacement: "true",
    reason: "A shortcut: what has none of these in it stands for nothing but itself.",
  },
];
