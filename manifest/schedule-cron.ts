import { Cron } from "croner";

/** The moments of a cron expression, in milliseconds since 1970 UTC. */
export interface CronTimes {
  /**
   * The first moment after that time. A time of day that the clock skips comes at the end of the gap; one that it shows twice
   * comes once, the first time. Only a star or a step leaves the gap out, and comes in both.
   */
  after(time: number): number;
  /** The shortest time between two of them. */
  shortestIntervalMs(): number;
}

export type CronReading = { readonly times: CronTimes } | { readonly problem: string };

const howTo = "write minute, hour, day of the month, month and day of the week, such as `0 3 * * 1`";

/** Reads five fields, or a word such as `@weekly`. The time zone must be one that the platform knows. */
export function readCron(expression: string, zone: string): CronReading {
  const fields = expression.trim().split(/\s+/);
  if (fields.length !== 5 && !expression.startsWith("@")) {
    return { problem: `is not a cron expression of five fields; ${howTo}` };
  }
  try {
    const times = cronTimes(expression, zone);
    if (Number.isFinite(times.after(0))) return { times };
    return { problem: "never comes: there is no such day in any year" };
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message.replace(/^\w+: /, "") : String(thrown);
    return { problem: `is not a cron expression: ${reason}; ${howTo}` };
  }
}

const known = new Map<string, CronTimes>();

/** Throws what the parser throws. Many secrets have the same few expressions: each is read once. */
export function cronTimes(expression: string, zone: string): CronTimes {
  const key = `${zone} ${expression}`;
  const times = known.get(key) ?? parse(expression, zone);
  known.set(key, times);
  return times;
}

function parse(expression: string, zone: string): CronTimes {
  const cron = new Cron(expression, { timezone: zone, mode: "5-part", fixedTimeRule: "no-wildcard" });
  const after = (time: number): number => cron.nextRun(new Date(time))?.getTime() ?? Number.POSITIVE_INFINITY;
  let shortest: number | undefined;
  return {
    after,
    shortestIntervalMs: () => {
      shortest ??= shortestInterval(after);
      return shortest;
    },
  };
}

/** A leap year, from its beginning. */
const sampleFrom = Date.UTC(2028, 0, 1);
const sampleSize = 64;

function shortestInterval(after: CronTimes["after"]): number {
  let shortest = Number.POSITIVE_INFINITY;
  let before = after(sampleFrom);
  for (let count = 0; count < sampleSize; count += 1) {
    const then = after(before);
    shortest = Math.min(shortest, then - before);
    before = then;
  }
  return shortest;
}
