import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { fromBackground, inBackground } from "./background.ts";

const ask = (address: string, withinMs = 10_000) => fromBackground("the place", address, withinMs);

test("who asks before it has started waits for it, and all are told the same; its end comes last", async () => {
  const begins = Promise.withResolvers<void>();
  const said: string[] = [];
  const background = await inBackground(async (stack) => {
    stack.defer(() => void said.push("ended"));
    await begins.promise;
    said.push("started");
    return { port: 7 };
  });
  const early = ask(background.address);
  await sleep(50);
  expect(said).toEqual([]);
  begins.resolve();
  expect([await early, await ask(background.address)]).toEqual([{ port: 7 }, { port: 7 }]);
  expect(said).toEqual(["started"]);
  await background.end();
  expect(said).toEqual(["started", "ended"]);
});

test("what it has failed with is told to all who ask, and nothing of it is left", async () => {
  let isLeft = false;
  const background = await inBackground(async (stack) => {
    isLeft = true;
    stack.defer(() => {
      isLeft = false;
    });
    throw new Error("there is no room");
  });
  const why = "the place could not be started: Error: there is no room";
  await expect(ask(background.address)).rejects.toThrow(why);
  await expect(ask(background.address)).rejects.toThrow(why);
  expect(isLeft).toBe(false);
  await background.end();
});

test("one that is not needed any more is told so, and what it has started until then is ended", async () => {
  const said: string[] = [];
  const background = await inBackground(async (stack, over) => {
    await sleep(60_000, undefined, { signal: over }).catch(() => said.push("over"));
    // What can only be ended once it is there.
    await sleep(50);
    stack.defer(() => void said.push("ended"));
    return {};
  });
  await background.end();
  expect(said).toEqual(["over", "ended"]);
});

test("nobody waits longer than they said", async () => {
  const background = await inBackground((_, over) => sleep(60_000, {}, { signal: over }));
  const began = performance.now();
  await expect(ask(background.address, 100)).rejects.toThrow("the place has not started within 100 ms");
  expect(performance.now() - began).toBeLessThan(5_000);
  await background.end();
});

test("who asks when all is over is told so", async () => {
  const background = await inBackground(async () => ({}));
  await background.end();
  await expect(ask(background.address)).rejects.toThrow("the place is not there: who starts it has ended");
});
