import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Batch, Simulated } from "./simulate-worker.ts";

/** Small enough that all cores end at about the same time. */
const batchSeeds = 50;

/** Simulates many seeds on all cores, and tells of each batch when it is done; where that was enough, no other begins. */
export async function simulateMany(
  { first, seeds }: Batch,
  isEnough: (done: Simulated) => boolean,
): Promise<void> {
  const batches = batchesOf(first, seeds);
  const work = async (): Promise<void> => {
    const worker = new Worker(new URL("./simulate-worker.ts", import.meta.url));
    try {
      for (const batch of batches) if (isEnough(await carriedOut(worker, batch))) break;
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
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
