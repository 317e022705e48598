import { cpus } from "node:os";
import { help, readArguments } from "./arguments.ts";
import { jsonOf, tableOf } from "./measured.ts";

/**
 * The numbers that Keyturn promises, measured on this machine. Absolute times are this machine's; what counts is the ratios and the counts.
 * `--json`: the last line is one JSON object.
 */
const say = (line: string): void => void process.stderr.write(`${line}\n`);

const asked = readArguments(process.argv.slice(2));
if (asked === "help") {
  process.stdout.write(`${help}\n`);
} else if ("error" in asked) {
  say(`${asked.error}; see --help`);
  process.exitCode = 2;
} else {
  say(`Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model ?? "unknown"}`);
  const found = await measure(asked.subject);
  for (const line of tableOf(found)) say(line);
  if (asked.json) process.stdout.write(`${jsonOf(found)}\n`);
}

async function measure(subject: "local" | "aws") {
  // What the one needs is not asked of whoever runs the other.
  if (subject === "local") return (await import("./local.ts")).benchLocal();
  return (await import("./aws/bench.ts")).benchAws(say);
}
