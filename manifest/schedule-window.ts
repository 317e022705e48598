import { cronTimes } from "./schedule-cron.ts";
import { zoneProblem } from "./schedule-zone.ts";

/** A time of the week in which rotations may begin. */
export interface Window {
  /** By the clock on the wall; on a day on which the clock is changed it may be shorter or longer. */
  readonly lengthMs: number;
  /** The first of its occurrences that is not over at that time: from its first millisecond to the one after its last. */
  notOverAt(time: number): Occurrence;
}

export interface Occurrence {
  readonly from: number;
  readonly to: number;
}

export type WindowReading = { readonly window: Window } | { readonly problem: string };

const dayNames = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"] as const;
const everyDay: readonly number[] = [0, 1, 2, 3, 4, 5, 6];
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMinutes = 24 * 60;
const howTo =
  "write days, times and a time zone, such as `Sat 02:00-06:00 UTC` or `Mon-Fri 22:00-04:00 Europe/Berlin`";

/** Reads `Sat 02:00-06:00 UTC`: days are a list or ranges, or missing for every day; without a time zone that of the schedule counts. */
export function readWindow(text: string, zoneOfSchedule: string): WindowReading {
  const found =
    /^(?:(?<days>[A-Za-z,\s-]+?)\s+)?(?<from>\d\d:\d\d)\s*-\s*(?<to>\d\d:\d\d)(?:\s+(?<zone>\S+))?$/.exec(
      text.trim(),
    )?.groups;
  if (found === undefined) return { problem: `is not a window; ${howTo}` };
  const { zone = zoneOfSchedule } = found;
  const from = minuteOf(found.from);
  const to = minuteOf(found.to);
  if (from === undefined || from === dayMinutes || to === undefined) {
    return { problem: "has a time that is on no clock: the first is 00:00, and the last, at an end, 24:00" };
  }
  if (from === to) return { problem: "is of no length; for whole days write 00:00-24:00" };
  const days = found.days === undefined ? everyDay : daysOf(found.days);
  if (days === undefined) return { problem: `names a day that is not in the week; ${howTo}` };
  const wrongZone = zoneProblem(zone);
  return wrongZone === undefined ? { window: windowOf(days, from, to, zone) } : { problem: wrongZone };
}

/** A change of the clock takes less than that. */
const clockChangeMs = 3 * hourMs;

function windowOf(days: readonly number[], from: number, to: number, zone: string): Window {
  const passesMidnight = to <= from || to === dayMinutes;
  const opens = cronTimes(weekly(days, from), zone);
  const closes = cronTimes(weekly(passesMidnight ? days.map((day) => (day + 1) % 7) : days, to), zone);
  const lengthMs = (to > from ? to - from : to - from + dayMinutes) * minuteMs;
  const endOf = (open: number): number => {
    const close = closes.after(open);
    // The clock skips the whole window: it is opened at the end of the gap, and is as long as ever.
    return close - open > lengthMs + clockChangeMs ? open + lengthMs : close;
  };
  return {
    lengthMs,
    notOverAt: (time) => {
      let open = opens.after(time - dayMinutes * minuteMs - clockChangeMs);
      while (endOf(open) <= time) open = opens.after(open);
      return { from: open, to: endOf(open) };
    },
  };
}

function weekly(days: readonly number[], minute: number): string {
  return `${minute % 60} ${Math.floor(minute / 60) % 24} * * ${days.join(",")}`;
}

/** Undefined: no clock shows it. */
function minuteOf(text = ""): number | undefined {
  const [hours = 0, minutes = 0] = text.split(":").map(Number);
  const minute = hours * 60 + minutes;
  return minutes < 60 && minute <= dayMinutes ? minute : undefined;
}

/** `Sat,Sun`, `Mon-Fri`, `Fri-Mon`; a name may be written out. Undefined: something else. */
function daysOf(text: string): readonly number[] | undefined {
  const found = text.split(",").map((part) => {
    const [first, last = first, ...more] = part.split("-").map((name) => dayOf(name.trim()));
    if (first === undefined || last === undefined || more.length > 0) return undefined;
    return everyDay.slice(0, ((last - first + 7) % 7) + 1).map((ahead) => (first + ahead) % 7);
  });
  const days = new Set(found.flatMap((part) => part ?? []));
  return found.includes(undefined) ? undefined : everyDay.filter((day) => days.has(day));
}

function dayOf(name: string): number | undefined {
  const index = dayNames.findIndex((day) => name.length >= 3 && day.startsWith(name.toLowerCase()));
  return index === -1 ? undefined : index;
}
