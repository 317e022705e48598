import { simulateMany } from "./simulate-many.ts";
import { parseOptions, usage } from "./simulate-options.ts";
import type { Simulated } from "./simulate-worker.ts";
import { addUp, endings, turns } from "./simulated-endings.ts";
import { simulate } from "./simulation.ts";

/**
 * `npm run simulate`: the real core in a world from each seed, on all cores. `--seeds N` (or SIMULATIONS) says how many, `--seed N` (or SEED) from
 * which on. One alone tells its story. Progress goes to standard error; the last line of standard output is the sum. Ends with 1
 * where a promise was broken.
 */
const asked = parseOptions(process.argv.slice(2), process.env);
if (asked === "help") {
  process.stdout.write(`${usage}\n`);
  process.exit(0);
}
if ("problem" in asked) {
  process.stderr.write(`${asked.problem}\n\n${usage}\n`);
  process.exit(2);
}
const { first, seeds } = asked;
const tellEveryMs = 5_000;
const brokenMax = 20;

if (seeds === 1) await tellStory();
else await tellAll();

async function tellStory(): Promise<void> {
  const { story, counts } = await simulate(first).catch((thrown: unknown) => {
    process.stdout.write(`${thrown instanceof Error ? thrown.message : thrown}\n`);
    process.exit(1);
  });
  process.stdout.write(`${story.join("\n")}\nseed ${first}, 0 broken: ${mix(counts)}\n`);
}

async function tellAll(): Promise<void> {
  const began = performance.now();
  const found: Simulated[] = [];
  const sum = () => found.reduce((total, one) => total + one.seeds, 0);
  const broken = () => found.flatMap((one) => one.broken);
  let toldAt = began;
  await simulateMany({ first, seeds }, (one) => {
    found.push(one);
    for (const line of one.broken) process.stderr.write(`${line}\n`);
    if (broken().length >= brokenMax) return true;
    if (performance.now() - toldAt < tellEveryMs) return false;
    toldAt = performance.now();
    process.stderr.write(`${sum()} of ${seeds} seeds, ${broken().length} broken, ${since(began)}\n`);
    return false;
  });
  const counts = addUp(found.map((one) => one.counts));
  for (const [what, count] of Object.entries(counts).toSorted()) process.stdout.write(`${what}: ${count}\n`);
  const [example] = broken();
  if (example !== undefined) {
    const seed = /^seed (\d+)/.exec(example)?.[1];
    process.stdout.write(`its story: SEED=${seed} SIMULATIONS=1 npm run simulate\n`);
    process.exitCode = 1;
  }
  process.stdout.write(`${sum()} seeds, ${broken().length} broken, ${since(began)}: ${mix(counts)}\n`);
}

function mix(counts: Readonly<Record<string, number>>): string {
  return [...endings, ...turns].map((what) => `${counts[what] ?? 0} ${what}`).join(", ");
}

function since(began: number): string {
  return `${Math.round((performance.now() - began) / 1_000)} s`;
}
