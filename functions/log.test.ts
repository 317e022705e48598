import { afterEach, expect, test, vi } from "vitest";
import { log } from "./log.ts";

afterEach(() => vi.restoreAllMocks());

function told(...said: Parameters<typeof log>): unknown {
  const print = vi.spyOn(console, "log").mockReturnValue(undefined);
  log(...said);
  return JSON.parse(String(print.mock.calls[0]?.[0]));
}

test("a line says what it is, whatever its fields are called", () => {
  expect(told("warn", "app/db waits", { message: "m-1", level: 3, code: "busy" })).toEqual({
    level: "warn",
    message: "app/db waits",
    code: "busy",
  });
});

test("of an error it tells the name alone", () => {
  expect(told("error", "failed", { error: new TypeError("password is hunter2") })).toEqual({
    level: "error",
    message: "failed",
    error: "TypeError",
  });
});
