import { vi } from "vitest";
import { stand, wireOf } from "./steering.ts";

/** A function that was stopped or killed in the middle of a call. */
interface Struck {
  readonly pid: number;
  /** The call goes on, or is lost. */
  end(how?: "lose"): Promise<void>;
}

/** Waits for the function at some point of its next rotation of a secret, and sends it the signal there. */
export type Point = (ref: string) => Promise<(signal: "SIGKILL" | "SIGSTOP") => Promise<Struck>>;

function at(operation: string, when: "request" | "reply", ...also: readonly string[]): Point {
  return async (ref) => {
    const held = await stand({ operation, about: [ref, ...also], at: when, act: "hold", times: 1 });
    return async (signal) => {
      const { pid } = await held.reached();
      process.kill(pid, signal);
      return { pid, end: (how) => held.letGo(how) };
    };
  };
}

/** A statement has arrived at the database, and the function does not hear of it. */
const inSet: Point = async (ref) => {
  const wire = wireOf(ref);
  await wire.silence(8);
  return async (signal) => {
    await vi.waitUntil(() => wire.isSilent(), { timeout: 30_000, interval: 50 });
    const pid = await wire.user();
    process.kill(pid, signal);
    // Others are heard again; what was said meanwhile is lost.
    await wire.calm();
    return { pid, end: async () => undefined };
  };
};

/** Where a rotation that Secrets Manager drives is stopped, in order. */
export const points = {
  "create: before the value is stored": at("PutSecretValue", "request"),
  "create: when it is, and nobody heard": at("PutSecretValue", "reply"),
  "set: in the middle of its statements": inSet,
  "set: done, and not written down": at("PutItem", "request", `\\"phase\\":\\"test\\"`),
  "finish: before it is current": at("UpdateSecretVersionStage", "request", "AWSCURRENT"),
  "finish: when it is, and nobody heard": at("UpdateSecretVersionStage", "reply", "AWSCURRENT"),
  "finish: before it is announced": at("PutEvents", "request"),
} as const;
