import { createHash } from "node:crypto";
import type { Schedule } from "../core/schedule.ts";
import { formatDuration } from "./duration.ts";
import type { FieldPath } from "./problem.ts";
import { readCron } from "./schedule-cron.ts";
import { readWindow, type Window } from "./schedule-window.ts";
import { zoneProblem } from "./schedule-zone.ts";

/** What stands under `schedule`, well-formed; whether it makes sense is found out here. Durations are milliseconds. */
export interface ScheduleContent {
  readonly every?: number | undefined;
  readonly cron?: string | undefined;
  readonly timeZone?: string | undefined;
  readonly window?: string | readonly string[] | undefined;
  readonly jitter?: number | undefined;
}

interface ScheduleProblem {
  /** As seen from the schedule. */
  readonly field: FieldPath;
  readonly message: string;
}

export interface ScheduleReading {
  /** Undefined where there are problems. */
  readonly schedule: Schedule | undefined;
  readonly problems: readonly ScheduleProblem[];
}

/** Reads a secret's schedule. The reference says where in the jitter its time lies, always the same. */
export function readSchedule(ref: string, content: ScheduleContent): ScheduleReading {
  const wrongZone = content.timeZone === undefined ? undefined : zoneProblem(content.timeZone);
  if (wrongZone !== undefined) return broken([{ field: ["timeZone"], message: wrongZone }]);
  const { timeZone = "UTC", jitter = 0 } = content;
  const windows = readWindows(content.window, timeZone);
  const rhythm = readRhythm(content, timeZone);
  const problems = [
    ...(rhythm.problem === undefined ? [] : [rhythm.problem]),
    ...windows.problems,
    ...checkJitter(jitter, rhythm.rhythm, windows.found),
    ...checkZone(content),
  ];
  if (problems.length > 0 || rhythm.rhythm === undefined) return broken(problems);
  return { schedule: scheduleOf(rhythm.rhythm, windows.found, shareOf(ref), jitter), problems: [] };
}

function broken(problems: readonly ScheduleProblem[]): ScheduleReading {
  return { schedule: undefined, problems };
}

/** When it would be time if rotations might begin at any moment. */
interface Rhythm {
  due(since: number): number;
  /** The shortest time between two. */
  shortestMs(): number;
}

interface RhythmReading {
  readonly rhythm?: Rhythm;
  readonly problem?: ScheduleProblem;
}

function readRhythm(content: ScheduleContent, timeZone: string): RhythmReading {
  const { every: everyMs, cron } = content;
  if (everyMs !== undefined && cron !== undefined) {
    return { problem: { field: ["cron"], message: "stands beside `every`: write one of the two" } };
  }
  if (everyMs !== undefined) {
    return { rhythm: { due: (since) => since + everyMs, shortestMs: () => everyMs } };
  }
  if (cron === undefined) {
    const message =
      "does not say when; write `every`, such as `every: 30d`, or `cron`, such as `cron: 0 3 * * 1`";
    return { problem: { field: [], message } };
  }
  const read = readCron(cron, timeZone);
  if ("problem" in read) return { problem: { field: ["cron"], message: read.problem } };
  const { times } = read;
  return { rhythm: { due: (since) => times.after(since), shortestMs: () => times.shortestIntervalMs() } };
}

function readWindows(
  content: ScheduleContent["window"],
  timeZone: string,
): { readonly found: readonly Window[]; readonly problems: readonly ScheduleProblem[] } {
  if (content === undefined) return { found: [], problems: [] };
  const isList = typeof content !== "string";
  const read = (isList ? content : [content]).map((text) => readWindow(text, timeZone));
  if (read.length === 0) {
    return {
      found: [],
      problems: [{ field: ["window"], message: "names no window: take it out, or write one" }],
    };
  }
  return {
    found: read.flatMap((one) => ("window" in one ? [one.window] : [])),
    problems: read.flatMap((one, index) =>
      "problem" in one ? [{ field: isList ? ["window", index] : ["window"], message: one.problem }] : [],
    ),
  };
}

function checkJitter(
  jitter: number,
  rhythm: Rhythm | undefined,
  windows: readonly Window[],
): readonly ScheduleProblem[] {
  if (jitter === 0) return [];
  const narrowest = Math.min(...windows.map(({ lengthMs }) => lengthMs));
  const shortest = rhythm?.shortestMs() ?? Number.POSITIVE_INFINITY;
  const longer = (than: string, ms: number): readonly ScheduleProblem[] => [
    { field: ["jitter"], message: `is longer than ${than}: write ${formatDuration(ms)} or less` },
  ];
  if (jitter > narrowest) return longer("the window that it has to fit into", narrowest);
  return jitter > shortest ? longer("the time from one rotation to the next", shortest) : [];
}

function checkZone({ timeZone, cron, window }: ScheduleContent): readonly ScheduleProblem[] {
  if (timeZone === undefined || cron !== undefined || window !== undefined) return [];
  return [{ field: ["timeZone"], message: "changes nothing: it is for `cron` and `window`" }];
}

/**
 * Due at its time in the rhythm and its share of the jitter later. Outside the windows it waits for the next one, and there
 * too for its share of the jitter, so that what has gathered does not begin at one stroke.
 */
function scheduleOf(rhythm: Rhythm, windows: readonly Window[], share: number, jitter: number): Schedule {
  const dueAt = (since: number): number => rhythm.due(since) + Math.floor(share * jitter);
  if (windows.length === 0) return { next: dueAt };
  return {
    next: (since, now) => {
      const due = dueAt(since);
      if (!Number.isFinite(due)) return due;
      const entries = windows.map((window) => {
        const { from, to } = window.notOverAt(Math.max(due, now));
        // A window that a change of the clock has cut short is shared by all the same.
        return from + Math.floor(share * Math.min(jitter, to - from));
      });
      return Math.max(due, Math.min(...entries));
    },
  };
}

/** From 0 to less than 1, evenly over all references. */
function shareOf(ref: string): number {
  return createHash("sha256").update(ref).digest().readUInt32BE(0) / 2 ** 32;
}
