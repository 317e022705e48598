import { parseArgs } from "node:util";

export const usage = `npm run faults -- [--full] [--again] [--only TEXT] [--at N[,N...]] [--seed N] [--json] [--write]

Lets rotations on a real PostgreSQL meet every fault at a share of their boundaries, prints the matrix, and ends with 1 if one of them ended as it must not.
--full   every boundary of every case: more than an hour
--again  keeps how each run has ended, and takes over what the same code has come to before: what was interrupted goes on, and what failed has failed
--only   the cases that have TEXT in their name, as it is told of one that failed
--at     these boundaries, from 1, instead of a share
--seed   the number that the shares come from; it is printed
--json   the last line of standard output is the matrix
--write  puts the whole matrix into docs/faults.md and README.md
Example: npm run faults -- --only "two logins that take turns, rotation, killed" --at 3,17`;

export interface Options {
  readonly help: boolean;
  /** How each run has ended is kept, and what the same code has come to before is taken over. */
  readonly again: boolean;
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
        help: { type: "boolean", default: false },
        again: { type: "boolean", default: false },
        full: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        write: { type: "boolean", default: false },
        seed: { type: "string" },
        only: { type: "string", default: "" },
        at: { type: "string" },
      },
    });
    const { help, again, full, json, write, only } = values;
    const seed = values.seed === undefined ? undefined : Number(values.seed);
    const at = values.at?.split(",").map(Number);
    if (write && (!full || only !== "" || at !== undefined)) {
      return "the pages hold the whole matrix: --write needs --full, and neither --only nor --at";
    }
    if (seed !== undefined && !isNumber(seed)) return "--seed is a number";
    if (at?.some((number) => !isNumber(number) || number === 0) === true) {
      return "--at is the number of a boundary, from 1, or several with commas between them";
    }
    return { help, again, full, json, write, seed, only, at };
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

function isNumber(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
