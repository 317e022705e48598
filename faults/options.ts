import { parseArgs } from "node:util";
import { isPlaceName, type PlaceName, placeNames } from "./places.ts";

export const usage = `npm run faults -- [--place NAME] [--full] [--share N] [--again] [--only TEXT] [--at N[,N...]] [--seed N] [--json] [--write]

Lets rotations on a real PostgreSQL meet every fault at a share of their boundaries, prints the matrix, and ends with 1 if one of them ended as it must not.
--place  where the ports of the worker are: ${placeNames.join(" or ")}; local without it
--full   every boundary of every case: more than an hour on the local store
--share  the number of boundaries that each case of a plain rotation is tried at, and a third of it for each other case
--again  keeps how each run has ended, and takes over what the same code has come to before: what was interrupted goes on, and what failed has failed
--only   the cases that have TEXT in their name, as it is told of one that failed
--at     these boundaries, from 1, instead of a share
--seed   the number that the shares come from; it is printed
--json   the last line of standard output is the matrix
--write  puts the matrix into docs/faults.md, and that of the local store into README.md
Example: npm run faults -- --only "two logins that take turns, rotation, killed" --at 3,17`;

export interface Options {
  readonly help: boolean;
  readonly place: PlaceName;
  /** How each run has ended is kept, and what the same code has come to before is taken over. */
  readonly again: boolean;
  /** Every boundary of every case; otherwise each case takes its share of them. */
  readonly full: boolean;
  /** How many boundaries a case is tried at; the place has a number of its own. */
  readonly share: number | undefined;
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
        place: { type: "string", default: "local" },
        share: { type: "string" },
        again: { type: "boolean", default: false },
        full: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        write: { type: "boolean", default: false },
        seed: { type: "string" },
        only: { type: "string", default: "" },
        at: { type: "string" },
      },
    });
    const { help, again, full, json, write, only, place } = values;
    const seed = values.seed === undefined ? undefined : Number(values.seed);
    const share = values.share === undefined ? undefined : Number(values.share);
    const at = values.at?.split(",").map(Number);
    if (!isPlaceName(place)) return `--place is ${placeNames.join(" or ")}`;
    const isPart = only !== "" || at !== undefined;
    const cannot = write ? whyUnwritten({ isPart, isShare: place === "local" && !full }) : undefined;
    if (cannot !== undefined) return cannot;
    if (share !== undefined && (!isNumber(share) || share === 0)) return "--share is a number, from 1";
    if (full && share !== undefined) return "--full is every boundary: it goes with no --share";
    if (seed !== undefined && !isNumber(seed)) return "--seed is a number";
    if (at?.some((number) => !isNumber(number) || number === 0) === true) {
      return "--at is the number of a boundary, from 1, or several with commas between them";
    }
    return { help, place, again, full, share, json, write, seed, only, at };
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

function whyUnwritten({
  isPart,
  isShare,
}: Readonly<Record<"isPart" | "isShare", boolean>>): string | undefined {
  if (isShare) return "the README promises every boundary: --write needs --full";
  return isPart ? "the pages hold every case: --write goes with neither --only nor --at" : undefined;
}

/** What writes the matrix of a place. */
export function writingCommand(place: PlaceName): string {
  return place === "local"
    ? "npm run faults -- --full --write"
    : `npm run faults -- --place ${place} --write`;
}

function isNumber(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
