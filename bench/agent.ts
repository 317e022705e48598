import { connect, type Transport } from "../agent/index.ts";
import { median } from "./median.ts";

const rounds = 15;
const readsPerRound = 300_000;
const ref = "bench/db";

export interface AgentBench {
  readonly warmNs: number;
  readonly mapNs: number;
  /** The median of the rounds' ratios: both sides of each ratio ran next to each other. */
  readonly warmRatio: number;
  readonly readsAtExpiry: number;
}

export async function benchAgent(): Promise<AgentBench> {
  const { transport } = countingTransport(3_600_000);
  await using client = await connect({ transport, agent: "bench", fleet: "bench" });
  const map = new TtlMap();
  map.set(ref, await client.getSecret(ref), 3_600_000);

  const warm = async (): Promise<number> => timed(() => client.getSecret(ref));
  const bare = async (): Promise<number> => timed(() => map.get(ref));
  await warm();
  await bare();
  const pairs: { warm: number; bare: number }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    // Who goes first takes turns, for the second one finds the processor warmer.
    const first = round % 2 === 0 ? await warm() : await bare();
    const second = round % 2 === 0 ? await bare() : await warm();
    pairs.push(round % 2 === 0 ? { warm: first, bare: second } : { warm: second, bare: first });
  }
  return {
    warmNs: median(pairs.map((pair) => pair.warm)),
    mapNs: median(pairs.map((pair) => pair.bare)),
    warmRatio: median(pairs.map((pair) => pair.warm / pair.bare)),
    readsAtExpiry: await readsAtExpiry(),
  };
}

/** Nanoseconds a call. */
async function timed(read: () => Promise<unknown>): Promise<number> {
  const started = process.hrtime.bigint();
  for (let count = 0; count < readsPerRound; count += 1) await read();
  return Number(process.hrtime.bigint() - started) / readsPerRound;
}

/** What a value with a time to live costs at least: the yardstick. */
class TtlMap {
  readonly #entries = new Map<string, { readonly value: unknown; readonly expiresAt: number }>();

  set(key: string, value: unknown, ttlMs: number): void {
    this.#entries.set(key, { value, expiresAt: Date.now() + ttlMs });
  }

  async get(key: string): Promise<unknown> {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.expiresAt > Date.now() ? entry.value : undefined;
  }
}

/** A thousand callers at once, when what was cached has just come to its end. */
async function readsAtExpiry(): Promise<number> {
  const ttlMs = 50;
  const { transport, reads } = countingTransport(ttlMs);
  await using client = await connect({ transport, agent: "bench", fleet: "bench" });
  await client.getSecret(ref);
  // The process is kept busy beyond the end, so that no refresh ahead of time can run.
  const end = performance.now() + ttlMs + 10;
  while (performance.now() < end);
  const before = reads();
  await Promise.all(Array.from({ length: 1_000 }, () => client.getSecret(ref)));
  return reads() - before;
}

function countingTransport(cacheTtlMs: number): { transport: Transport; reads: () => number } {
  let count = 0;
  const transport: Transport = {
    list: async () => [],
    read: async () => {
      count += 1;
      const value = JSON.stringify({ username: "bench", password: "not a secret" });
      return { ref, version: "v1", value, overlap: "both-live", cacheTtlMs };
    },
    report: async () => ({ refusedHolds: [] }),
    events: async (signal) => quiet(signal),
    close: () => undefined,
  };
  return { transport, reads: () => count };
}

async function* quiet(signal: AbortSignal): AsyncGenerator<string> {
  yield "";
  if (!signal.aborted)
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
}
