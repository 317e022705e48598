import { format, inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { Secret } from "./secret.ts";

const text = "canary-Zw9!";
const secret = new Secret(text);

/** Every way we know in which a value reaches a screen, a log or a file by accident. */
const ways: Readonly<Record<string, () => string>> = {
  String: () => String(secret),
  template: () => `${secret}`,
  concatenation: () => `a ${secret} b`,
  "JSON.stringify": () => JSON.stringify(secret),
  "JSON.stringify, deep": () => JSON.stringify({ a: [{ secret }] }),
  inspect: () => inspect(secret),
  "inspect with hidden fields": () => inspect({ a: [secret] }, { showHidden: true, depth: 9, getters: true }),
  "format %s": () => format("%s", secret),
  "format %o": () => format("%o", secret),
  "format %O": () => format("%O", { secret }),
  "format %j": () => format("%j", secret),
  "an error's message": () => new Error(`failed with ${secret}`).message,
  "an error's cause": () => inspect(new Error("failed", { cause: secret })),
  "an array's join": () => [secret, secret].join(),
  "its own keys": () => Reflect.ownKeys(secret).map(String).join(),
  "a copy of its fields": () => inspect({ ...secret }),
  "its primitive": () => String(Object(secret).valueOf()),
};

describe("a secret", () => {
  test.each(Object.entries(ways))("is not seen by %s", (_, show) => {
    expect(show()).not.toContain(text);
    expect(show()).not.toContain(Buffer.from(text).toString("base64"));
  });

  test("reads as a word for what it is", () => {
    expect(String(secret)).toBe("[secret]");
    expect(JSON.stringify({ secret })).toBe('{"secret":"[secret]"}');
    expect(inspect({ secret })).toBe("{ secret: [secret] }");
  });

  test("is not cloned into another thread, and not found by comparing", () => {
    expect(inspect(structuredClone(secret), { showHidden: true })).not.toContain(text);
  });

  test("is given by reveal, whole", () => {
    for (const value of ["", text, "ü 😀\n\u0000", "x".repeat(100_000)]) {
      expect(new Secret(value).reveal()).toBe(value);
    }
  });

  test.each([
    ["a", "a", true],
    ["", "", true],
    ["ü😀", "ü😀", true],
    ["a", "b", false],
    ["a", "aa", false],
    ["", "a", false],
    // Two characters of one byte against one character of two bytes.
    ["ab", "ü", false],
  ])("%j equals %j: %s", (one, other, expected) => {
    expect(new Secret(one).equals(new Secret(other))).toBe(expected);
  });
});
