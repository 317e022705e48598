import { parseArgs } from "node:util";

export interface Options {
  /** Every boundary of every case; otherwise each case takes its share of them. */
  readonly full: boolean;
  readonly json: boolean;
  readonly write: boolean;
  readonly seed: number | undefined;
  readonly only: string;
  /** The boundaries that are tried instead of a share. */
  readonly at: readonly number[] | undefined;
}

/** What was asked for, or why it cannot be done. */
export function parseOptions(args: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        full: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        write: { type: "boolean", default: false },
        seed: { type: "string" },
        only: { type: "string", default: "" },
        at: { type: "string" },
      },
    });
    const { full, json, write, only } = values;
    const seed = values.seed === undefined ? undefined : Number(values.seed);
    const at = values.at?.split(",").map(Number);
    if (write && (!full || only !== "" || at !== undefined)) {
      return "the pages hold the whole matrix: --write needs --full, and neither --only nor --at";
    }
    if (seed !== undefined && !isNumber(seed)) return "--seed is a number";
    if (at?.some((number) => !isNumber(number) || number === 0) === true) {
      return "--at is the number of a boundary, from 1, or several with commas between them";
    }
    return { full, json, write, seed, only, at };
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

function isNumber(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
