import { expect, test } from "vitest";
import { simulate } from "./simulation.ts";

/** `SEED=41 SIMULATIONS=1 npm run simulate` replays one; without them a few hundred seeds from the first. */
const first = Number(process.env.SEED ?? 1);
const simulations = Number(process.env.SIMULATIONS ?? 300);

test.each(["both-live", "cutover"] as const)(
  "%s: whatever dies, freezes, fails or is asked for, every promise holds",
  async (overlap) => {
    const totals: Record<string, number> = {};
    for (let seed = first; seed < first + simulations; seed += 1) {
      const { counts } = await simulate(seed, overlap);
      for (const [what, count] of Object.entries(counts)) totals[what] = (totals[what] ?? 0) + count;
    }
    console.info(`${simulations} simulations, ${overlap}: ${JSON.stringify(totals)}`);
    if (simulations < 100) return;
    // A fault that never fires proves nothing.
    for (const fault of ["dies at", "freezes at", "thaws at", "fails", "reply lost"]) {
      expect(totals[fault], fault).toBeGreaterThan(simulations / 10);
    }
    for (const kind of ["rotate", "cancel", "rollback", "pause", "hold", "retire", "leak", "cut first"]) {
      expect(totals[`asks ${kind}`], kind).toBeGreaterThan(simulations / 10);
    }
  },
  600_000,
);

test("a seed tells the same story again", async () => {
  const [once, again] = [await simulate(7, "both-live"), await simulate(7, "both-live")];
  expect(again.story).toEqual(once.story);
});
