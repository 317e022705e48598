import { describe, expect, test } from "vitest";
import { steppedClock } from "../local/memory.ts";
import { KeyturnError } from "./errors.ts";
import { Session } from "./session.ts";

const never = new Promise<never>(() => undefined);

describe("within", () => {
  test("gives what the work gives, and leaves no timer behind", async () => {
    const left: AbortSignal[] = [];
    const clock = {
      now: () => 0,
      sleep: (_: number, signal?: AbortSignal) => {
        if (signal !== undefined) left.push(signal);
        return never;
      },
    };
    expect(await new Session().within(clock, 10, "set", async () => "done")).toBe("done");
    expect(left.map((signal) => signal.aborted)).toEqual([true]);
  });

  test("fails with the work's own error", async () => {
    const refused = new KeyturnError("login-refused", "no");
    const work = new Session().within(steppedClock(0), 10, "set", () => Promise.reject(refused));
    await expect(work).rejects.toBe(refused);
  });

  test("fails at the deadline although the work never comes back, and not before", async () => {
    const clock = steppedClock(0);
    let outcome: unknown;
    const work = new Session()
      .within(clock, 5_000, "set of app/db", () => never)
      .catch((thrown: unknown) => {
        outcome = thrown;
      });
    clock.advance(4_999);
    await new Promise(setImmediate);
    expect(outcome).toBeUndefined();
    clock.advance(1);
    await work;
    expect(outcome).toMatchObject({ code: "timeout", message: "set of app/db did not end within 5000 ms" });
  });

  test("work that fails after its deadline disturbs nobody", async () => {
    const clock = steppedClock(0);
    const late = Promise.withResolvers<never>();
    const work = new Session().within(clock, 5, "set", () => late.promise);
    clock.advance(5);
    await expect(work).rejects.toMatchObject({ code: "timeout" });
    late.reject(new Error("too late to matter"));
    // An unhandled rejection would fail this test's process.
    await new Promise(setImmediate);
  });

  test("work that throws at once, without a promise, is a failure like any other", async () => {
    const work = new Session().within(steppedClock(0), 5, "set", () => {
      throw new Error("at once");
    });
    await expect(work).rejects.toThrow("at once");
  });
});

describe("close", () => {
  test("ends what was deferred, the last first, each once, one after the other", async () => {
    const session = new Session();
    const ended: string[] = [];
    session.defer(async () => {
      await new Promise(setImmediate);
      ended.push("first");
    });
    session.defer(() => {
      ended.push("second");
    });
    session.defer(async () => {
      await new Promise(setImmediate);
      ended.push("third");
    });
    await session.close();
    await session.close();
    expect(ended).toEqual(["third", "second", "first"]);
  });

  test.each([
    ["throws", () => Promise.reject(new Error("gone"))],
    [
      "throws at once",
      () => {
        throw new Error("gone");
      },
    ],
  ])("a cleanup that %s does not keep the others from theirs", async (_, failing) => {
    const session = new Session();
    const ended: string[] = [];
    session.defer(() => {
      ended.push("first");
    });
    session.defer(failing);
    session.defer(() => {
      ended.push("third");
    });
    await session.close();
    expect(ended).toEqual(["third", "first"]);
  });

  test("tells the reason to whoever listens to the signal, before anything ends", async () => {
    const session = new Session();
    const ended: string[] = [];
    session.signal.addEventListener("abort", () => ended.push("told"));
    session.defer(() => {
      ended.push("cleaned");
    });
    const reason = new KeyturnError("timeout", "late");
    await session.close(reason);
    expect(ended).toEqual(["told", "cleaned"]);
    expect(session.signal.reason).toBe(reason);
  });

  test("whatever was thrown, the reason is an error of Keyturn", async () => {
    const session = new Session();
    await session.close("just words");
    expect(session.signal.reason).toMatchObject({ code: "internal", message: "just words" });
  });

  test("an orderly end is no abort", async () => {
    const session = new Session();
    await session.close();
    expect(session.signal.aborted).toBe(false);
  });
});
