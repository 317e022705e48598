import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { afterEach, expect, test, vi } from "vitest";
import { action } from "./command.ts";

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

function exits() {
  return vi.spyOn(process, "exit").mockImplementation(() => {
    throw new Error("exits");
  });
}

/** A service that takes a moment to end when it is told to. */
function serving(endsMs: number) {
  return action(
    new Command(),
    async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      await sleep(endsMs);
      return 0;
    },
    { farewellMs: Number.POSITIVE_INFINITY },
  )();
}

test("a signal that is said twice at once is one wish: the work ends by itself", async () => {
  const exit = exits();
  const served = serving(50);
  process.emit("SIGTERM");
  process.emit("SIGTERM");
  await served;
  expect(exit).not.toHaveBeenCalled();
  expect(process.exitCode).toBe(0);
});

test("a second signal, by somebody who does not want to wait, is an order", async () => {
  const exit = exits();
  const served = serving(600);
  process.emit("SIGINT");
  await sleep(400);
  expect(() => process.emit("SIGINT")).toThrow("exits");
  expect(exit).toHaveBeenCalledExactlyOnceWith(130);
  await served;
});
