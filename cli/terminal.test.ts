import { expect, test } from "vitest";
import { duration, oneLine, printable } from "./terminal.ts";

test("a name from outside cannot steer the terminal", () => {
  const nasty = "agent\u001b[2J\u001b]0;title\u0007\r\u009b31m\u202eevil";
  const shown = printable(nasty);
  expect(shown).toBe("agent\u{fffd}[2J\u{fffd}]0;title\u{fffd}\u{fffd}\u{fffd}31m\u{fffd}evil");
  expect(printable("a\tb\nc \u001b[31mred\u001b[39m é 🔑")).toBe("a\tb\nc \u001b[31mred\u001b[39m é 🔑");
});

test("a cell is one line, and not an endless one", () => {
  expect(oneLine("a\n  b\tc")).toBe("a b c");
  expect(oneLine("x".repeat(500))).toHaveLength(100);
});

test.each([
  [0, "0 ms"],
  [850.4, "850 ms"],
  [12_345, "12.3 s"],
  [180_000, "3 min"],
  [5 * 3_600_000, "5 h"],
  [12 * 86_400_000, "12 d"],
])("%d ms is %s", (ms, words) => {
  expect(duration(ms)).toBe(words);
});
