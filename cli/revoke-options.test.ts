import { describe, expect, test } from "vitest";
import { commandAgain, pastTime, type RevokeOptions, selectorOf, wholeNumber } from "./revoke-options.ts";

const usual: RevokeOptions = { which: "current", timeout: 60 };

describe("what a revocation is for", () => {
  test.each([
    [["a"], {}, { kind: "secrets", refs: ["a"] }],
    [["a", "b", "a"], {}, { kind: "secrets", refs: ["a", "b"] }],
    [["a"], { which: "0199-id" }, { kind: "secrets", refs: ["a"] }],
    [["a", "b"], { which: "previous" }, { kind: "secrets", refs: ["a", "b"] }],
    [["a"], { tenant: "t" }, { kind: "secrets", refs: ["a"] }],
    [[], { fleet: "f" }, { kind: "fleet", name: "f" }],
    [[], { tenant: "t" }, { kind: "tenant", name: "t" }],
    [[], { fleet: "f", tenant: "t" }, { kind: "fleet", name: "f" }],
    [[], { agent: "host-1/worker-3" }, { kind: "agent", name: "host-1" }],
    [[], { leaked: true }, { kind: "leaked" }],
  ] as const)("%j with %j", (refs, options, selector) => {
    expect(selectorOf(refs, { ...usual, ...options })).toEqual(selector);
  });

  test.each([
    [[], {}],
    [["a"], { leaked: true }],
    [["a"], { fleet: "f" }],
    [[], { fleet: "f", agent: "h" }],
    [[], { leaked: true, which: "previous" }],
    [["a", "b"], { which: "0199-id" }],
    [[], { tenant: "t", which: "0199-id" }],
  ] as const)("is not said by %j with %j", (refs, options) => {
    expect(() => selectorOf(refs, { ...usual, ...options })).toThrow(
      expect.objectContaining({ code: "input-invalid" }),
    );
  });
});

test("the command is told as it would be typed again", () => {
  const options = {
    ...usual,
    tenant: "acme",
    cutFirst: true,
    maxAffected: 3,
    since: Date.UTC(2026, 0, 31),
    key: "my key.pem",
  };
  expect(commandAgain({ kind: "tenant", name: "acme" }, options, ["--max-affected", "12"])).toBe(
    "keyturn revoke --tenant acme --cut-first --since 2026-01-31T00:00:00.000Z --key 'my key.pem' --max-affected 12",
  );
  expect(
    commandAgain({ kind: "secrets", refs: ["a/b", "c"] }, { ...usual, which: "previous", yes: true }, [
      "--yes",
    ]),
  ).toBe("keyturn revoke a/b c --which previous --yes");
  expect(commandAgain({ kind: "leaked" }, { ...usual, approval: "it's.json" }, ["--yes"])).toBe(
    "keyturn revoke --leaked --approval 'it'\\''s.json' --yes",
  );
});

test.each(["", "0", "-1", "1.5", "1e3", "ten", "9999999999"])("%j is no number of secrets", (text) => {
  expect(() => wholeNumber(text)).toThrow();
});

test("an alert has come, at a time with a zone", () => {
  expect(pastTime("2026-01-31T02:59:00Z")).toBe(Date.UTC(2026, 0, 31, 2, 59));
  expect(pastTime("2026-01-31T03:59+01:00")).toBe(Date.UTC(2026, 0, 31, 2, 59));
  for (const text of [
    "",
    "now",
    "2026-01-31",
    "2026-01-31T02:59:00",
    "2026-13-31T02:59:00Z",
    "9999-01-01T00:00:00Z",
  ]) {
    expect(() => pastTime(text)).toThrow(/time that has come/);
  }
});
