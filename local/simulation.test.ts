import { expect, test } from "vitest";
import { simulateMany } from "./simulate-many.ts";
import { simulate } from "./simulation.ts";

/** A look at the first ones; `integration/simulation.test.ts` has many more, and what has to come about in them. */
const seeds = 300;

test(`the first ${seeds} worlds keep every promise`, async () => {
  let played = 0;
  const broken: unknown[] = [];
  await simulateMany({ first: 1, seeds }, (one) => {
    played += one.seeds;
    broken.push(...one.broken);
    return one.broken.length > 0;
  });
  expect(broken, "SEED=… SIMULATIONS=1 npm run simulate tells the story of one").toEqual([]);
  expect(played).toBe(seeds);
}, 120_000);

const ofNobody = /^\d+ ms pass$|^the \w+ is out of reach for a while$|^everything can be reached again$/;

test("a seed tells the same story again, and each line names the secret that it is about", async () => {
  const [once, again] = [await simulate(7), await simulate(7)];
  expect(again.story).toEqual(once.story);
  for (const line of once.story.filter((told) => !ofNobody.test(told))) expect(line).toMatch(/^\S+\/\S+ {2}/);
});
