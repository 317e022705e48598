import { expect, test } from "vitest";
import { simulateDisaster } from "./disaster-simulation.ts";
import { disasters } from "./disasters.ts";
import { endings } from "./simulated-endings.ts";

/** `SEED=41 SIMULATIONS=1 npx vitest run local/disaster` replays one; without them a hundred seeds from the first. */
const first = Number(process.env.SEED ?? 1);
const simulations = Number(process.env.SIMULATIONS ?? 100);

const faults = ["dies at", "freezes at", "thaws at", "fails", "reply lost", "is rejected", "is broken"];

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
    const came = Object.keys(disasters);
    expect(came).toHaveLength(9);
    for (const often of ["nothing", ...came, ...faults, ...endings, "halted", "resumed", "emergency"])
      expect(totals[often], often).toBeGreaterThan(simulations / 20);
    // What leaves everything as it was has not acted, and of what is seen by the doctor there is something to mend.
    for (const disaster of came) {
      expect(totals[`${disaster} acted`], disaster).toBeGreaterThan(simulations / 50);
      // A target of yesterday mostly knows the login of today.
      const least = disaster === "target restored" ? simulations / 200 : simulations / 100;
      expect(totals[`${disaster} was seen`], disaster).toBeGreaterThan(least);
    }
  },
  600_000,
);
