import { expect, test } from "vitest";
import { modelTarget } from "../local/model-target.ts";
import { areAlike } from "./alike.ts";
import { Secret } from "./secret.ts";

const { bothLive } = modelTarget();
const value = (username: string, password: string, more = {}) =>
  new Secret(JSON.stringify({ username, password, ...more }));
const one = value("app_a", "a word");

test.each<readonly [string, Secret, boolean]>([
  ["the same words", value("app_a", "a word"), true],
  ["other words", new Secret('{ "password": "a word", "team": 12.50, "username": "app_a" }'), true],
  ["another password", value("app_a", "another word"), false],
  ["another account with the same password", value("app_b", "a word"), false],
  ["what the type cannot read", new Secret("a word"), false],
])("one login has %s: %s", (_, other, expected) => {
  expect([areAlike(bothLive, one, other), areAlike(bothLive, other, one)]).toEqual([expected, expected]);
});

test("what the type cannot read is like itself", () => {
  expect(areAlike(bothLive, new Secret("a word"), new Secret("a word"))).toBe(true);
  expect(areAlike(bothLive, new Secret("a word"), new Secret("another"))).toBe(false);
});

test("a type that knows no secret field, or one that only one of them has, tells nothing of it", () => {
  const other = value("app_a", "a word", { more: 1 });
  const knowing = (secretFields: typeof bothLive.secretFields) => ({ ...bothLive, secretFields });
  expect(
    areAlike(
      knowing(() => ({})),
      one,
      other,
    ),
  ).toBe(false);
  const token = knowing((of) => (of === one ? { a: one } : { a: one, b: one }));
  expect([areAlike(token, one, other), areAlike(token, other, one)]).toEqual([false, false]);
});
