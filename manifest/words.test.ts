import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatDuration, parseDuration } from "./duration.ts";
import { knownFields } from "./known-fields.ts";
import { nearest } from "./nearest.ts";
import { matches } from "./policy.ts";
import { FileSchema } from "./schema.ts";

describe("durations", () => {
  it.each([
    ["30d", 2_592_000_000],
    ["24h", 86_400_000],
    ["5m", 300_000],
    ["10s", 10_000],
    ["500ms", 500],
  ])("%s", (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(["", "30", "d", "0s", "007s", "-1s", "1.5h", "1h30m", "30 d", "30D", "1234567d", "1w", "1d\n"])(
    "%j is none",
    (text) => expect(parseDuration(text)).toBeUndefined(),
  );

  it("are written as they are read", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 999_999 }),
        fc.constantFrom("ms", "s", "m", "h", "d"),
        (count, unit) => {
          const ms = parseDuration(`${count}${unit}`);
          expect(ms === undefined ? undefined : parseDuration(formatDuration(ms))).toBe(ms);
        },
      ),
    );
  });
});

describe("the nearest name", () => {
  const known = [
    "store",
    "type",
    "config",
    "admin",
    "schedule",
    "grace",
    "cacheTtl",
    "fleets",
    "tenant",
    "notify",
  ];
  it.each([
    ["stroe", "store"],
    ["schedul", "schedule"],
    ["sched", "schedule"],
    ["cachettl", "cacheTtl"],
    ["fleet", "fleets"],
    ["cofnig", "config"],
  ])("to %s is %s", (name, expected) => expect(nearest(name, known)).toBe(expected));

  it("is nobody when none is near", () => {
    expect(nearest("password", known)).toBeUndefined();
    expect(nearest("x", [])).toBeUndefined();
  });
});

describe("patterns", () => {
  it.each([
    ["prod/*", "prod/db", true],
    ["prod/*", "prod/eu/db", false],
    ["prod/**", "prod/eu/db", true],
    ["**", "a/b/c", true],
    ["*/db", "a/db", true],
    ["a.b", "a.b", true],
    ["a.b", "axb", false],
    ["db-?", "db-1", true],
    ["db-?", "db-12", false],
    ["db", "db2", false],
  ])("%s on %s: %s", (pattern, ref, expected) => expect(matches(pattern, ref)).toBe(expected));

  it("means what a regular expression for it means, and takes no time with any pattern", () => {
    const words = fc.array(fc.constantFrom("a", "b", "/", ".", "*", "**", "?"), { maxLength: 7 });
    fc.assert(
      fc.property(words, fc.stringMatching(/^[ab./]{0,8}$/), (tokens, ref) => {
        const pattern = tokens.join("");
        const expression = pattern.replaceAll(
          /\*\*|[*?.]/g,
          (token) => ({ "**": ".*", "*": "[^/]*", "?": "[^/]", ".": "\\." })[token] ?? token,
        );
        expect(matches(pattern, ref)).toBe(new RegExp(`^${expression}$`).test(ref));
      }),
      { numRuns: 500 },
    );
    const began = performance.now();
    expect(matches(`${"*a".repeat(40)}b`, "a".repeat(200))).toBe(false);
    expect(performance.now() - began).toBeLessThan(5_000);
  });
});

describe("references", () => {
  const refused = (ref: string): boolean =>
    !FileSchema.safeParse({ secrets: { [ref]: { store: "here", type: "x" } } }).success;
  it.each(["a", "billing/db", "A.b_c-1/2", "...", ".env", "a/.b", "x".repeat(200)])("%s is one", (ref) =>
    expect(refused(ref)).toBe(false),
  );
  it.each(["", "/a", "a/", "a//b", "..", "a/..", "./a", "a/./b", "a b", "ä", "a\n", "x".repeat(201)])(
    "%j is none",
    (ref) => expect(refused(ref)).toBe(true),
  );
});

it("knows the fields at every path, and none where anything may stand", () => {
  expect(knownFields(FileSchema, [])).toContain("secrets");
  expect(knownFields(FileSchema, ["secrets", "a/b", "schedule"])).toContain("every");
  expect(knownFields(FileSchema, ["policies", 0, "grace"])).toContain("atMost");
  expect(knownFields(FileSchema, ["secrets", "a", "config"])).toEqual([]);
  expect(knownFields(FileSchema, ["nothing", "there"])).toEqual([]);
});
