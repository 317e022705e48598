import * as z from "zod/mini";
import { ErrorResult } from "./failure.ts";
import { count, flag, text } from "./field.ts";

export const NotifyTestResult = z.object({
  channel: text("its name in the manifest"),
  kind: z.enum(["webhook", "slack", "pagerduty"]),
  delivered: flag("the receiver has taken the message"),
  id: text("the message's id, as the receiver of a webhook sees it"),
  host: z.optional(text("who has taken it; the rest of its address may be secret")),
  status: z.optional(count("the receiver's HTTP status")),
  durationMs: count("milliseconds that it took"),
  error: z.optional(ErrorResult),
});
export type NotifyTestResult = z.infer<typeof NotifyTestResult>;
