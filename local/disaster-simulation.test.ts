import { expect, test } from "vitest";
import { simulateDisaster } from "./disaster-simulation.ts";

/** `SEED=41 SIMULATIONS=1 npx vitest run local/disaster` replays one; without them a hundred seeds from the first. */
const first = Number(process.env.SEED ?? 1);
const simulations = Number(process.env.SIMULATIONS ?? 100);

test.each(["both-live", "cutover"] as const)(
  "%s: whatever is lost, restored or changed behind Keyturn's back, the doctor makes it whole",
  async (overlap) => {
    const totals: Record<string, number> = {};
    for (let seed = first; seed < first + simulations; seed += 1) {
      const counts = await simulateDisaster(seed, overlap);
      for (const [what, count] of Object.entries(counts)) totals[what] = (totals[what] ?? 0) + count;
    }
    console.info(`${simulations} disasters, ${overlap}: ${JSON.stringify(totals)}`);
    if (simulations < 100) return;
    expect(Object.keys(totals)).toHaveLength(9);
    for (const [disaster, count] of Object.entries(totals))
      expect(count, disaster).toBeGreaterThan(simulations / 20);
  },
  600_000,
);
