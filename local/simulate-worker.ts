import { parentPort } from "node:worker_threads";
import { addUp } from "./simulated-endings.ts";
import { BrokenPromise, simulate } from "./simulation.ts";

/** Some seeds in a row, for one worker. */
export interface Batch {
  readonly first: number;
  readonly seeds: number;
}

/** What came of a batch. */
export interface Simulated {
  readonly seeds: number;
  readonly counts: Readonly<Record<string, number>>;
  /** A line for each seed that broke a promise. */
  readonly broken: readonly string[];
}

/** The thread of `npm run simulate` that carries out what it is given. */
parentPort?.on("message", async ({ first, seeds }: Batch) => {
  const counts: Readonly<Record<string, number>>[] = [];
  const broken: string[] = [];
  for (let seed = first; seed < first + seeds; seed += 1) {
    try {
      counts.push((await simulate(seed)).counts);
    } catch (thrown) {
      broken.push(thrown instanceof BrokenPromise ? thrown.why : `seed ${seed}: ${thrown}`);
    }
  }
  parentPort?.postMessage({ seeds, counts: addUp(counts), broken } satisfies Simulated);
});
