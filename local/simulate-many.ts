import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Batch, Simulated } from "./simulate-worker.ts";

/** Small enough that all cores end at about the same time. */
const batchSeeds = 50;

/** Simulates many seeds on all cores, and tells of each batch when it is done; once that was enough, no other begins. */
export async function simulateMany(
  { first, seeds }: Batch,
  isEnough: (done: Simulated) => boolean,
): Promise<void> {
  const batches = batchesOf(first, seeds);
  const work = async (): Promise<void> => {
    const worker = new Worker(new URL("./simulate-worker.ts", import.meta.url));
    try {
      // All take from one row: who leaves it ends it for the others.
      for (const batch of batches) if (isEnough(await carriedOut(worker, batch))) break;
    } finally {
      await worker.terminate();
    }
  };
  const threads = Math.min(availableParallelism(), Math.ceil(seeds / batchSeeds));
  await Promise.all(Array.from({ length: threads }, work));
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
    worker.once("exit", (code) => reject(new Error(`a thread has ended with ${code}`)));
    worker.postMessage(batch);
  });
}
