/** Time as an agent needs it. */
export interface AgentClock {
  /** Milliseconds on a clock that only runs forward: a wall clock that is set back must not lengthen a cached value's life. */
  now(): number;
  /** Milliseconds since 1970 UTC, for what is shown and for what must grow over restarts. */
  wall(): number;
  /** Calls back after the time, and gives the way to call it off. In the background: it never keeps the process alive. */
  after(ms: number, run: () => void): () => void;
  /** For a caller who waits: keeps the process alive. Rejects with the signal's reason. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** A timer that is given more than this fires at once. */
const timerMaxMs = 2 ** 31 - 1;

export const systemClock: AgentClock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, Math.min(ms, timerMaxMs));
    timer.unref();
    return () => clearTimeout(timer);
  },
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const abort = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(
        () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        },
        Math.min(ms, timerMaxMs),
      );
      signal?.addEventListener("abort", abort, { once: true });
    }),
};

/**
 * For a process that is put to sleep with its machine: what has passed is the longer of what both clocks say, for the one that only runs forward
 * may have stood still, and the other may have been set back.
 */
export function thawingClock(clock: AgentClock = systemClock): AgentClock {
  let [now, wall, passed] = [clock.now(), clock.wall(), 0];
  return {
    wall: () => clock.wall(),
    after: (ms, run) => clock.after(ms, run),
    sleep: (ms, signal) => clock.sleep(ms, signal),
    now() {
      const [nextNow, nextWall] = [clock.now(), clock.wall()];
      passed += Math.max(nextNow - now, nextWall - wall);
      [now, wall] = [nextNow, nextWall];
      return passed;
    },
  };
}

/** Waits in the background: if nothing else is to be done, the process may end meanwhile. */
export function pause(clock: AgentClock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.after(ms, resolve));
}

/** Chance: a number from 0 up to 1. */
export type Chance = () => number;

/** Doubles with every failure, and differs from agent to agent, so that a fleet does not come back in step. */
export function backoffMs(failures: number, baseMs: number, maxMs: number, chance: Chance): number {
  return Math.min(maxMs, baseMs * 2 ** Math.min(failures, 30)) * (0.5 + chance() / 2);
}
