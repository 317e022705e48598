import { expect, test } from "vitest";
import { generatePassword } from "./password.ts";

test("a password takes six bits of each byte, and is forty characters long unless another length is asked for", () => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const bytes = { bytes: (length: number) => Uint8Array.from({ length }, (_, index) => index + 64) };
  expect(generatePassword(bytes, 64).reveal()).toBe(alphabet);
  expect(generatePassword(bytes).reveal()).toBe(alphabet.slice(0, 40));
});
