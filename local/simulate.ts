import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { parseOptions, usage } from "./simulate-options.ts";
import type { Batch, Simulated } from "./simulate-worker.ts";
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
/** Small enough that all cores end at about the same time. */
const batchSeeds = 50;
const tellEveryMs = 5_000;
const brokenMax = 20;

if (seeds === 1) await tellStory();
else await simulateMany();

async function tellStory(): Promise<void> {
  const { story, counts } = await simulate(first).catch((thrown: unknown) => {
    process.stdout.write(`${thrown instanceof Error ? thrown.message : thrown}\n`);
    process.exit(1);
  });
  process.stdout.write(`${story.join("\n")}\nseed ${first}, 0 broken: ${mix(counts)}\n`);
}

async function simulateMany(): Promise<void> {
  const began = performance.now();
  const found: Simulated[] = [];
  const sum = () => found.reduce((total, one) => total + one.seeds, 0);
  const broken = () => found.flatMap((one) => one.broken);
  const batches = batchesOf(first, seeds);
  let toldAt = began;
  const work = async (): Promise<void> => {
    const worker = new Worker(new URL("./simulate-worker.ts", import.meta.url));
    for (const batch of batches) {
      const one = await carriedOut(worker, batch);
      found.push(one);
      for (const line of one.broken) process.stderr.write(`${line}\n`);
      if (broken().length >= brokenMax) break;
      if (performance.now() - toldAt < tellEveryMs) continue;
      toldAt = performance.now();
      process.stderr.write(`${sum()} of ${seeds} seeds, ${broken().length} broken, ${since(began)}\n`);
    }
    await worker.terminate();
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
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

function* batchesOf(from: number, total: number): Generator<Batch> {
  for (let done = 0; done < total; done += batchSeeds) {
    yield { first: from + done, seeds: Math.min(batchSeeds, total - done) };
  }
}

function carriedOut(worker: Worker, batch: Batch): Promise<Simulated> {
  return new Promise((resolve, reject) => {
    worker.removeAllListeners();
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.postMessage(batch);
  });
}

function mix(counts: Readonly<Record<string, number>>): string {
  return [...endings, ...turns].map((what) => `${counts[what] ?? 0} ${what}`).join(", ");
}

function since(began: number): string {
  return `${Math.round((performance.now() - began) / 1_000)} s`;
}
