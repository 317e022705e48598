import * as z from "zod";
import { duration } from "./schema-words.ts";

const window = z.string().min(1, "must be a window, such as `Sat 02:00-06:00 UTC`");

/** What the parts mean to each other, `readSchedule` finds out. */
export const ScheduleSchema = z
  .strictObject({
    every: duration.optional().describe("Rotate when the current value is so old. Either this or `cron`."),
    cron: z
      .string()
      .optional()
      .describe(
        "Rotate at the first of these moments since the current value came: minute, hour, day of the month, month, day of the week; or a word such as `@weekly`.",
      ),
    timeZone: z
      .string()
      .optional()
      .describe(
        "The time zone of `cron`, and of windows that name none, such as Europe/Berlin. Default: UTC.",
      ),
    window: z
      .union(
        [window, z.array(window)],
        "must be a window, such as `Sat 02:00-06:00 UTC`, or a list of windows",
      )
      .optional()
      .describe(
        "When rotations may begin by themselves: days, times and a time zone, such as `Sat 02:00-06:00 UTC`; several as a list. Without days, every day; it may pass midnight.",
      ),
    jitter: duration
      .optional()
      .describe(
        "Each secret begins its own share of this time later, always the same, so that many do not begin at once.",
      ),
  })
  .meta({ oneOf: [{ required: ["every"] }, { required: ["cron"] }] });

export const QuotaSchema = z.strictObject({
  rotations: z
    .number()
    .multipleOf(1, "must be a whole number")
    .min(1, "must be 1 or more")
    .max(1_000_000, "must be 1000000 or less")
    .describe("How many rotations may begin by themselves in that time."),
  per: duration.describe("The time: any of this length."),
});
