import { beforeAll, describe, expect, test } from "vitest";
import { addUp, endings, turns } from "./simulated-endings.ts";
import { everyRequest } from "./simulated-requests.ts";
import { simulate } from "./simulation.ts";

const seeds = 2_000;

describe(`${seeds} worlds, each from its seed`, () => {
  let totals: Readonly<Record<string, number>> = {};

  beforeAll(async () => {
    const counts: Readonly<Record<string, number>>[] = [];
    for (let seed = 1; seed <= seeds; seed += 1) counts.push((await simulate(seed)).counts);
    totals = addUp(counts);
  }, 600_000);

  // What never happens proves nothing.
  test.each(["dies at", "freezes at", "thaws at", "fails", "reply lost", "is rejected"])(
    "a worker %s a call in enough of them",
    (fault) => expect(totals[fault]).toBeGreaterThan(seeds / 4),
  );

  test.each(everyRequest)("somebody asks in the middle of it: %s", (kind) => {
    expect(totals[`asks ${kind}`]).toBeGreaterThan(seeds / 4);
  });

  test("a person changes an administering login by hand", () => {
    expect(totals["changes the held login"]).toBeGreaterThan(seeds / 40);
  });

  test.each([...endings, ...turns])("it comes to this, too: %s", (what) => {
    const isRare = what === "rolled back" || what === "halted";
    expect(totals[what]).toBeGreaterThan(isRare ? seeds / 50 : seeds / 8);
  });
});

test("a seed tells the same story again, and each line names the secret that it is about", async () => {
  const [once, again] = [await simulate(7), await simulate(7)];
  expect(again.story).toEqual(once.story);
  for (const line of once.story) expect(line).toMatch(/^\S+\/\S+ {2}|^\d+ ms pass$/);
});
