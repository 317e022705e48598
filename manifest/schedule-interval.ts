import { readSchedule, type ScheduleContent } from "./schedule.ts";

/** How far the rotations of a schedule are apart. */
export interface Interval {
  /** From one rotation by itself to the next. */
  readonly shortestMs: number;
  /** From a new value, wherever it came from, to the next. */
  readonly longestMs: number;
}

const minute = 60_000;
/** No part of a day or of a week, so that the moments fall on all hours of all days. */
const stepMs = 19 * 60 * minute;
/** A leap year, so that every date comes; fixed, so that the same manifest always gets the same answer. */
const start = Date.UTC(2028, 0, 1);
const rotationsSeen = 60;
const momentsSeen = 40;

const known = new Map<string, Interval | undefined>();

/** Undefined where the schedule is none. Many secrets have the same few schedules: each is looked at once. */
export function intervalOf(content: ScheduleContent): Interval | undefined {
  const key = JSON.stringify(content);
  if (!known.has(key)) known.set(key, findInterval(content));
  return known.get(key);
}

/**
 * Found by asking, to within an hour: from each rotation to the next, and from many moments of a month, for a value may come at any
 * moment, by hand for example, and the schedule counts from there. The whole jitter counts, for some secret has nearly all of it.
 */
function findInterval({ jitter = 0, ...content }: ScheduleContent): Interval | undefined {
  const { schedule } = readSchedule("", content);
  if (schedule === undefined) return undefined;
  const next = (moment: number): number => schedule.next(moment, moment);
  const rotations: number[] = [];
  let last = next(start);
  for (let count = 0; count < rotationsSeen; count += 1) {
    const following = next(last);
    rotations.push(following - last);
    last = following;
  }
  const moments = Array.from({ length: momentsSeen }, (_, index) => start + index * stepMs);
  // Moments that lead to the same rotation need only one search.
  const led = new Map(moments.toReversed().map((moment) => [next(moment), moment]));
  const others = [...led].map(([reached, moment]) => reached - earliestAlike(moment, next));
  return {
    shortestMs: Math.max(0, Math.min(...rotations) - jitter),
    longestMs: Math.max(...rotations, ...others) + jitter,
  };
}

/** The first minute from which one waits for the same rotation as from the moment: who comes then waits longest for it. */
function earliestAlike(moment: number, next: (moment: number) => number): number {
  const reached = next(moment);
  let [early, late] = [moment - stepMs, moment];
  while (late - early > minute) {
    const middle = Math.floor((early + late) / 2);
    if (next(middle) === reached) late = middle;
    else early = middle;
  }
  return late;
}
