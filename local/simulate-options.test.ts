import { expect, test } from "vitest";
import { parseOptions, usage } from "./simulate-options.ts";

test.each([
  [[], {}, { first: 1, seeds: 2_000 }],
  [[], { SEED: "41", SIMULATIONS: "1" }, { first: 41, seeds: 1 }],
  [["--seed", "7", "--seeds=12"], {}, { first: 7, seeds: 12 }],
  [["--seed", "7", "--seeds", "12"], { SEED: "x", SIMULATIONS: "" }, { first: 7, seeds: 12 }],
  [["--seeds", "999999999"], { SEED: "2" }, { first: 2, seeds: 999_999_999 }],
])("arguments %j in the environment %j ask for %j", (args, environment, asked) => {
  expect(parseOptions(args, environment)).toEqual(asked);
});

test.each([
  [[], { SEED: "one" }, 'SEED is a number from 1 to 999999999, and not "one"'],
  [[], { SEED: "0" }, 'SEED is a number from 1 to 999999999, and not "0"'],
  [[], { SEED: "" }, 'SEED is a number from 1 to 999999999, and not ""'],
  [[], { SIMULATIONS: "-5" }, 'SIMULATIONS is a number from 1 to 999999999, and not "-5"'],
  [[], { SIMULATIONS: "1e3" }, 'SIMULATIONS is a number from 1 to 999999999, and not "1e3"'],
  [[], { SIMULATIONS: "2.5" }, 'SIMULATIONS is a number from 1 to 999999999, and not "2.5"'],
  [["--seeds", "many"], {}, '--seeds is a number from 1 to 999999999, and not "many"'],
  [
    ["--seeds=1000000000"],
    { SIMULATIONS: "1" },
    '--seeds is a number from 1 to 999999999, and not "1000000000"',
  ],
  [["--seed", "41 "], { SEED: "1" }, '--seed is a number from 1 to 999999999, and not "41 "'],
])("arguments %j in the environment %j are a wrong use", (args, environment, problem) => {
  expect(parseOptions(args, environment)).toEqual({ problem });
});

test.each([["--sedes", "5"], ["41"], ["--seed"]])("arguments %j are a wrong use", (...args) => {
  expect(parseOptions(args, {})).toEqual({ problem: expect.stringMatching(/./) });
});

test("help is asked for, and its example is one", () => {
  expect(parseOptions(["--help"], { SEED: "x" })).toBe("help");
  const [, seed, seeds] = /^Example: SEED=(\d+) SIMULATIONS=(\d+) npm run simulate$/m.exec(usage) ?? [];
  expect(parseOptions([], { SEED: seed, SIMULATIONS: seeds })).toEqual({ first: 41, seeds: 1 });
});
