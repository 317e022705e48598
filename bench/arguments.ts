import { parseArgs } from "node:util";

/** What can be measured. */
export const subjects = ["local", "aws"] as const;

export interface BenchArguments {
  readonly subject: (typeof subjects)[number];
  readonly json: boolean;
}

export const help = `Measures what Keyturn promises, on this machine, and says of each number whether its aim is reached.

  npm run bench                 on one machine, with a real PostgreSQL
  npm run bench -- aws          on AWS's emulators, with the app deployed as it is; installs what is missing
  npm run bench -- aws --json   ends with one line of JSON

  local, aws   what to measure; local if nothing is said
  --json       the last line of standard output is one JSON object
  --help       this`;

/** What was asked for; `help` where that is asked for; an error says what nobody knows. */
export function readArguments(
  words: readonly string[],
): BenchArguments | "help" | { readonly error: string } {
  const options = { json: { type: "boolean" }, help: { type: "boolean", short: "h" } } as const;
  try {
    const { values, positionals } = parseArgs({ args: [...words], options, allowPositionals: true });
    if (values.help === true) return "help";
    const [first = "local", ...others] = positionals;
    const subject = subjects.find((one) => one === first);
    if (subject === undefined) return { error: `there is no bench for ${first}: ${subjects.join(" or ")}` };
    if (others.length > 0) return { error: `one bench at a time, not ${positionals.join(" and ")}` };
    return { subject, json: values.json === true };
  } catch (thrown) {
    return { error: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}
