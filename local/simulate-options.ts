import { parseArgs } from "node:util";

export const usage = `npm run simulate -- [--seeds N] [--seed N]

Plays the real core in a world from each seed, on all cores, and ends with 1 if a promise was broken in one of them.
--seeds  how many (or SIMULATIONS in the environment); 2000 without it; of one alone the story is told
--seed   the first of them (or SEED in the environment); 1 without it
Example: SEED=41 SIMULATIONS=1 npm run simulate`;

interface Options {
  readonly first: number;
  readonly seeds: number;
}

/** What was asked for, or why it cannot be done; arguments come before the environment. */
export function parseOptions(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Options | "help" | { readonly problem: string } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seeds: { type: "string" },
        seed: { type: "string" },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) return "help";
    const first = numberIn("--seed", values.seed) ?? numberIn("SEED", environment.SEED) ?? 1;
    const seeds =
      numberIn("--seeds", values.seeds) ?? numberIn("SIMULATIONS", environment.SIMULATIONS) ?? 2_000;
    return { first, seeds };
  } catch (thrown) {
    return { problem: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

function numberIn(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new Error(`${name} is a number from 1 to 999999999, and not ${JSON.stringify(text)}`);
}
