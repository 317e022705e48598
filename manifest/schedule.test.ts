import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Schedule } from "../core/schedule.ts";
import { readSchedule, type ScheduleContent } from "./schedule.ts";

const hour = 3_600_000;
const day = 24 * hour;

function schedule(content: ScheduleContent, ref = "billing/db"): Schedule {
  const read = readSchedule(ref, content);
  expect(read.problems).toEqual([]);
  if (read.schedule === undefined) throw new Error("neither a schedule nor a problem");
  return read.schedule;
}

/** When a value that is current since one moment is replaced, asked at another; without it, at once. */
function next(content: ScheduleContent, since: string, now = since): string {
  return new Date(schedule(content).next(Date.parse(since), Date.parse(now))).toISOString();
}

describe("every", () => {
  it("is due at its age, also long after it", () => {
    const content = { every: 30 * day };
    expect(next(content, "2026-01-01T10:00:00Z")).toBe("2026-01-31T10:00:00.000Z");
    expect(next(content, "2026-01-01T10:00:00Z", "2027-01-01T00:00:00Z")).toBe("2026-01-31T10:00:00.000Z");
  });
});

describe("cron", () => {
  it("is due at the first moment after the value came", () => {
    const content = { cron: "0 3 * * 1", timeZone: "Europe/Berlin" };
    expect(next(content, "2026-01-07T10:00:00Z")).toBe("2026-01-12T02:00:00.000Z");
    expect(next(content, "2026-07-07T10:00:00Z")).toBe("2026-07-13T01:00:00.000Z");
  });
  it("is in UTC where no time zone is named", () => {
    expect(next({ cron: "0 3 * * 1" }, "2026-07-07T10:00:00Z")).toBe("2026-07-13T03:00:00.000Z");
  });
  it("does not come again for the moment that has just been used", () => {
    expect(next({ cron: "0 3 * * *" }, "2026-07-07T03:00:00Z")).toBe("2026-07-08T03:00:00.000Z");
    expect(next({ cron: "0 3 * * *" }, "2026-07-07T03:00:00.500Z")).toBe("2026-07-08T03:00:00.000Z");
    expect(next({ cron: "0 3 * * *" }, "2026-07-07T02:59:59.999Z")).toBe("2026-07-07T03:00:00.000Z");
  });
  it("is caught up once, after however many were missed", () => {
    const daily = schedule({ cron: "0 3 * * *" });
    const up = Date.parse("2026-01-06T12:00:00Z");
    expect(daily.next(Date.parse("2026-01-01T03:00:10Z"), up)).toBeLessThanOrEqual(up);
    expect(new Date(daily.next(up, up)).toISOString()).toBe("2026-01-07T03:00:00.000Z");
  });
  it("comes at the end of the gap where the clock skips it, and once where it is shown twice", () => {
    const berlin = { cron: "30 2 * * *", timeZone: "Europe/Berlin" };
    expect(next(berlin, "2026-03-28T12:00:00Z")).toBe("2026-03-29T01:00:00.000Z");
    expect(next(berlin, "2026-10-24T12:00:00Z")).toBe("2026-10-25T00:30:00.000Z");
    expect(next(berlin, "2026-10-25T00:30:05Z")).toBe("2026-10-26T01:30:00.000Z");
    const twiceADay = { cron: "30 2,14 * * *", timeZone: "Europe/Berlin" };
    expect(next(twiceADay, "2026-03-28T15:00:00Z")).toBe("2026-03-29T01:00:00.000Z");
    expect(next(twiceADay, "2026-10-25T00:30:05Z")).toBe("2026-10-25T13:30:00.000Z");
    const newYork = { cron: "30 1 * * *", timeZone: "America/New_York" };
    expect(next(newYork, "2026-10-31T12:00:00Z")).toBe("2026-11-01T05:30:00.000Z");
    expect(next(newYork, "2026-11-01T05:30:05Z")).toBe("2026-11-02T06:30:00.000Z");
  });
});

it("a cron expression that comes all the time leaves the gap out, and comes in both of two hours", () => {
  const often = { cron: "*/30 2 * * *", timeZone: "Europe/Berlin" };
  expect(next(often, "2026-03-28T12:00:00Z")).toBe("2026-03-30T00:00:00.000Z");
  expect(next(often, "2026-10-25T00:30:00Z")).toBe("2026-10-25T01:00:00.000Z");
});

describe("a window", () => {
  const weekly = { every: day, window: "Sat 02:00-06:00 UTC" };
  it("is waited for", () => {
    expect(next(weekly, "2026-01-05T10:00:00Z")).toBe("2026-01-10T02:00:00.000Z");
  });
  it("that is open does not delay what is due in it", () => {
    expect(next(weekly, "2026-01-09T03:30:00Z")).toBe("2026-01-10T03:30:00.000Z");
  });
  it("that was missed is not made up for outside of the next", () => {
    const since = "2026-01-05T10:00:00Z";
    expect(next(weekly, since, "2026-01-10T05:59:59.999Z")).toBe("2026-01-10T02:00:00.000Z");
    expect(next(weekly, since, "2026-01-10T06:00:00Z")).toBe("2026-01-17T02:00:00.000Z");
    expect(next(weekly, since, "2026-01-14T12:00:00Z")).toBe("2026-01-17T02:00:00.000Z");
  });
  it("may pass midnight, and belongs to the day on which it opens", () => {
    const content = { every: hour, window: "Fri 22:00-04:00", timeZone: "Europe/Berlin" };
    expect(next(content, "2026-01-09T12:00:00Z")).toBe("2026-01-09T21:00:00.000Z");
    expect(next(content, "2026-01-10T01:30:00Z")).toBe("2026-01-10T02:30:00.000Z");
    expect(next(content, "2026-01-10T02:30:00Z")).toBe("2026-01-16T21:00:00.000Z");
  });
  it("has a time zone of its own", () => {
    const content = { every: hour, window: "12:00-13:00 Asia/Kolkata", timeZone: "Europe/Berlin" };
    expect(next(content, "2026-01-09T12:00:00Z")).toBe("2026-01-10T06:30:00.000Z");
  });
  it("may be a whole day", () => {
    const content = { every: hour, window: "Sat,Sun 00:00-24:00 Europe/Berlin" };
    expect(next(content, "2026-01-09T12:00:00Z")).toBe("2026-01-09T23:00:00.000Z");
    expect(next(content, "2026-01-10T22:30:00Z")).toBe("2026-01-10T23:30:00.000Z");
    expect(next(content, "2026-01-11T22:30:00Z")).toBe("2026-01-16T23:00:00.000Z");
  });
  it("may be one of several", () => {
    const content = { every: hour, window: ["Mon-Thu 02:00-03:00 UTC", "Fri-Sun 01:00-05:00 UTC"] };
    expect(next(content, "2026-01-08T12:00:00Z")).toBe("2026-01-09T01:00:00.000Z");
    expect(next(content, "2026-01-11T12:00:00Z")).toBe("2026-01-12T02:00:00.000Z");
  });
  it("takes a cron time that lies outside of it to its next opening", () => {
    const content = { cron: "0 12 1 * *", window: "Sat 02:00-06:00 UTC" };
    expect(next(content, "2026-01-02T00:00:00Z")).toBe("2026-02-07T02:00:00.000Z");
  });
});

/** From and to, as a rotation that is due all the time finds them. */
function opening(window: string, from: string): readonly string[] {
  const content = { every: 1, window };
  const start = Date.parse(next(content, from));
  let end = start;
  while (schedule(content).next(end, end) === end + 1) end += 60_000;
  return [new Date(start).toISOString(), new Date(end).toISOString()];
}

describe("a window on the day on which the clock is changed", () => {
  it.each([
    [
      "shortened by the gap",
      "02:00-06:00 Europe/Berlin",
      "2026-03-28T12:00Z",
      "2026-03-29T01:00",
      "2026-03-29T04:00",
    ],
    [
      "closing in the gap",
      "01:00-02:30 Europe/Berlin",
      "2026-03-28T12:00Z",
      "2026-03-29T00:00",
      "2026-03-29T01:00",
    ],
    [
      "all in the gap",
      "02:00-02:30 Europe/Berlin",
      "2026-03-28T12:00Z",
      "2026-03-29T01:00",
      "2026-03-29T01:30",
    ],
    [
      "all in the gap, once a week",
      "Sun 02:15-02:45 America/New_York",
      "2026-03-07T12:00Z",
      "2026-03-08T07:00",
      "2026-03-08T07:30",
    ],
    [
      "longer by an hour",
      "02:00-06:00 Europe/Berlin",
      "2026-10-24T12:00Z",
      "2026-10-25T00:00",
      "2026-10-25T05:00",
    ],
    [
      "in an hour that comes twice",
      "02:00-02:30 Europe/Berlin",
      "2026-10-24T12:00Z",
      "2026-10-25T00:00",
      "2026-10-25T00:30",
    ],
    [
      "around an hour that comes twice",
      "Sun 01:00-02:00 America/New_York",
      "2026-10-31T12:00Z",
      "2026-11-01T05:00",
      "2026-11-01T07:00",
    ],
    [
      "passing midnight into the gap",
      "Sat 22:00-02:30 America/New_York",
      "2026-03-07T12:00Z",
      "2026-03-08T03:00",
      "2026-03-08T07:00",
    ],
  ])("%s", (_, window, from, opens, closes) => {
    expect(opening(window, from)).toEqual([`${opens}:00.000Z`, `${closes}:00.000Z`]);
  });
});

describe("jitter", () => {
  const refs = Array.from({ length: 1_000 }, (_, index) => `app/db-${index}`);
  const spread = (content: ScheduleContent, since: string, now: string): number[] =>
    refs.map((ref) => schedule(content, ref).next(Date.parse(since), Date.parse(now)));

  it.each([
    [
      "every",
      { every: day, jitter: 2 * hour },
      "2026-01-06T00:00:00Z",
      "2026-01-06T00:00:00Z",
      "2026-01-07T00:00:00Z",
    ],
    [
      "cron",
      { cron: "0 3 * * *", jitter: 2 * hour },
      "2026-01-06T04:00:00Z",
      "2026-01-06T04:00:00Z",
      "2026-01-07T03:00:00Z",
    ],
    [
      "a window",
      { every: day, window: "Sat 02:00-06:00", jitter: 2 * hour },
      "2026-01-06T00:00:00Z",
      "2026-01-06T00:00:00Z",
      "2026-01-10T02:00:00Z",
    ],
    [
      "a window after others were missed",
      { every: day, window: "Sat 02:00-06:00", jitter: 2 * hour },
      "2026-01-06T00:00:00Z",
      "2026-02-02T00:00:00Z",
      "2026-02-07T02:00:00Z",
    ],
  ])("spreads a thousand secrets over all of it: %s", (_, content, since, now, from) => {
    const after = spread(content, since, now).map((time) => time - Date.parse(from));
    expect(Math.min(...after)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...after)).toBeLessThan(2 * hour);
    const perTenMinutes = Array.from({ length: 12 }, (_each, slot) =>
      after.filter((time) => Math.floor(time / (hour / 6)) === slot),
    );
    for (const slot of perTenMinutes) {
      expect(slot.length).toBeGreaterThan(40);
      expect(slot.length).toBeLessThan(140);
    }
    expect(spread(content, since, now)).toEqual(spread(content, since, now));
  });
  it("stays inside a window that a change of the clock makes shorter", () => {
    const content = { every: 4 * hour, window: "02:00-06:00 Europe/Berlin", jitter: 4 * hour };
    for (const time of spread(content, "2026-03-28T12:00:00Z", "2026-03-28T12:00:00Z")) {
      expect(time).toBeGreaterThanOrEqual(Date.parse("2026-03-29T01:00:00Z"));
      expect(time).toBeLessThan(Date.parse("2026-03-29T04:00:00Z"));
    }
  });
});

type Generated = ScheduleContent & { readonly window?: readonly string[] };

describe("whatever the schedule and the moment", () => {
  const zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"];
  const minute = fc.integer({ min: 0, max: 1439 });
  const clock = (at: number): string =>
    `${String(Math.floor(at / 60)).padStart(2, "0")}:${String(at % 60).padStart(2, "0")}`;
  const window = fc
    .tuple(fc.subarray(["Mon", "Wed", "Sat", "Sun"]), minute, minute, fc.constantFrom(...zones))
    .filter(([, from, to]) => (to - from + 1440) % 1440 >= 5)
    .map(([days, from, to, zone]) => `${days.join(",")} ${clock(from)}-${clock(to)} ${zone}`);
  const rhythm = fc.oneof(
    fc.integer({ min: 1, max: 90 * day }).map((ms) => ({ every: ms })),
    fc
      .constantFrom("0 3 * * 1", "*/10 * * * *", "30 2 * * *", "0 0 L * *", "15 1 1 1,7 *")
      .map((cron) => ({ cron })),
  );
  const content = fc
    .record({
      rhythm,
      timeZone: fc.constantFrom(...zones),
      window: fc.oneof(fc.constant([]), fc.array(window, { minLength: 1, maxLength: 3 })),
      jitter: fc.integer({ min: 0, max: 5 * 60_000 }),
    })
    .map(
      ({ rhythm: each, timeZone, window: windows, jitter }): Generated => ({
        ...each,
        ...(windows.length > 0 ? { window: windows, timeZone } : "cron" in each ? { timeZone } : {}),
        jitter: "every" in each ? Math.min(jitter, each.every) : jitter,
      }),
    );
  const time = fc.integer({ min: Date.UTC(2025, 0, 1), max: Date.UTC(2028, 0, 1) });
  const pause = fc.oneof(fc.integer({ min: 0, max: 3 * day }), fc.integer({ min: 0, max: 400 * day }));

  it("the time is after the value came, does not run back, and is kept", () => {
    fc.assert(
      fc.property(content, time, pause, pause, (each, since, before, later) => {
        const { next: nextOf } = schedule(each);
        const told = nextOf(since, since + before);
        expect(told).toBeGreaterThan(since);
        expect(nextOf(since, since + before + later)).toBeGreaterThanOrEqual(told);
        expect(nextOf(since + later, since + before + later)).toBeGreaterThanOrEqual(told);
        // Who comes back at the time that he was told begins then.
        if (told > since + before) expect(nextOf(since, told)).toBe(told);
      }),
      { numRuns: 400 },
    );
  });
  it("it lies in a window, and what is due begins in one only", () => {
    fc.assert(
      fc.property(content, time, pause, (each, since, passed) => {
        const now = since + passed;
        const begins = Math.max(now, schedule(each).next(since, now));
        const open = each.window?.some((one) => isOpen(one, begins)) ?? true;
        expect(open, `${JSON.stringify(each)} at ${new Date(begins).toISOString()}`).toBe(true);
      }),
      { numRuns: 400 },
    );
  });
});

/** By the clock on the wall, as a person would read it; give or take an hour on the days around a change of the clock. */
function isOpen(window: string, at: number): boolean {
  const [, days = "", from = "", to = "", zone = "UTC"] =
    /^(\S*) (\d\d:\d\d)-(\d\d:\d\d) (\S+)$/.exec(window) ?? [];
  const wall = (time: number): { readonly day: string; readonly clock: string } => {
    const format = {
      timeZone: zone,
      weekday: "short",
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
    } as const;
    const parts = new Map(
      Intl.DateTimeFormat("en", format)
        .formatToParts(time)
        .map((part) => [part.type, part.value]),
    );
    return { day: parts.get("weekday") ?? "", clock: `${parts.get("hour")}:${parts.get("minute")}` };
  };
  const on = (day: string): boolean => days === "" || days.split(",").includes(day);
  const openAt = (time: number): boolean => {
    const here = wall(time);
    if (from < to) return on(here.day) && here.clock >= from && here.clock < to;
    return (on(here.day) && here.clock >= from) || (on(wall(time - day).day) && here.clock < to);
  };
  const isChanged = [-day, day].some((away) => wall(at + away).clock !== wall(at).clock);
  return (isChanged ? [-hour, -hour / 2, 0, hour / 2, hour] : [0]).some((shift) => openAt(at + shift));
}
