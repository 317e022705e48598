import * as z from "zod/mini";
import type { NotifyTopic } from "../manifest/manifest.ts";

export const Severity = z.enum(["critical", "error", "warning", "info"]);
export type Severity = z.infer<typeof Severity>;

/** Something that a person should know of for as long as it lasts. */
export const ConditionKind = z.enum(["halted", "debt", "revoked", "undone", "delayed", "laggards"]);
export type ConditionKind = z.infer<typeof ConditionKind>;

const text = {
  secret: z.optional(z.string()),
  tenant: z.optional(z.string()),
  version: z.optional(z.string()),
  severity: Severity,
  /** One line. */
  summary: z.string(),
  detail: z.string(),
  /** What a person does about it. */
  remedy: z.optional(z.string()),
  /** The commands for that, ready to be typed. */
  commands: z.array(z.string()),
};

/** A condition of one secret, from its beginning to its end. It never holds a value. */
export const Condition = z.object({
  ...text,
  secret: z.string(),
  kind: ConditionKind,
  /** Tells one condition from another: of one key there is never more than one at a time. */
  key: z.string(),
  /** Tells this time from the next time that the same happens. */
  id: z.string(),
  /** When it began, in milliseconds since 1970 UTC. */
  since: z.number(),
});
export type Condition = z.infer<typeof Condition>;

/** One message for one channel. It never holds a value. */
export const Notice = z.object({
  ...text,
  kind: z.enum([...ConditionKind.options, "rotated", "adopted", "retired", "test"]),
  /** The same at every try: what receivers deduplicate by. */
  id: z.string(),
  /** The same from the beginning of a condition to its end. */
  key: z.string(),
  /** `told`: news, which has no end. */
  status: z.enum(["opened", "reminder", "resolved", "told"]),
  /** When it happened, not when it was sent. */
  at: z.number(),
});
export type Notice = z.infer<typeof Notice>;
export type NoticeKind = Notice["kind"];

/** The topic by which a channel asks for it; `always`: nobody can decline it. */
export function topicOf(kind: NoticeKind): NotifyTopic | "always" {
  switch (kind) {
    case "halted":
    case "debt":
    case "test":
      return "always";
    case "undone":
    case "delayed":
    case "laggards":
      return "failed";
    case "revoked":
    case "rotated":
    case "adopted":
    case "retired":
      return kind;
  }
}

export function opening(condition: Condition): Notice {
  const { since, ...rest } = condition;
  return { ...rest, status: "opened", at: since };
}

export function reminder(condition: Condition, count: number, now: number): Notice {
  const id = `${condition.id}/reminder/${count}`;
  return { ...opening(condition), id, status: "reminder", summary: `still: ${condition.summary}`, at: now };
}

export function resolution(condition: Condition, detail: string, now: number): Notice {
  return {
    ...opening(condition),
    id: `${condition.id}/resolved`,
    status: "resolved",
    severity: "info",
    summary: `over: ${condition.summary}`,
    detail,
    remedy: undefined,
    commands: [],
    at: now,
  };
}
