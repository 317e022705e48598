import * as z from "zod";

/** What the services take, written from their documentation: unknown fields are refused, so that a misspelt one shows. */

/** PagerDuty, Events API v2, "Send an Alert Event". */
export const PagerDutyAlert = z.discriminatedUnion("event_action", [
  z.strictObject({
    routing_key: z.string().length(32),
    event_action: z.literal("trigger"),
    dedup_key: z.string().min(1).max(255),
    client: z.string().optional(),
    client_url: z.url().optional(),
    payload: z.strictObject({
      summary: z.string().min(1).max(1024),
      source: z.string().min(1),
      severity: z.enum(["critical", "error", "warning", "info"]),
      timestamp: z.iso.datetime().optional(),
      component: z.string().optional(),
      group: z.string().optional(),
      class: z.string().optional(),
      custom_details: z.record(z.string(), z.unknown()).optional(),
    }),
  }),
  z.strictObject({
    routing_key: z.string().length(32),
    event_action: z.enum(["acknowledge", "resolve"]),
    dedup_key: z.string().min(1).max(255),
  }),
]);

/** PagerDuty, Events API v2, "Send a Change Event". */
export const PagerDutyChange = z.strictObject({
  routing_key: z.string().length(32),
  payload: z.strictObject({
    summary: z.string().min(1).max(1024),
    source: z.string().optional(),
    timestamp: z.iso.datetime().optional(),
    custom_details: z.record(z.string(), z.unknown()).optional(),
  }),
});

/** In Slack's text these three are markup; as text they are entities. */
const mrkdwn = z
  .string()
  .min(1)
  .max(3_000)
  .refine((text) => !/[<>]|&(?!amp;|lt;|gt;)/.test(text), "has markup in it");

/** Slack, incoming webhooks, with the blocks that are used here. */
export const SlackMessage = z.strictObject({
  text: mrkdwn,
  blocks: z
    .array(
      z.discriminatedUnion("type", [
        z.strictObject({
          type: z.literal("header"),
          text: z.strictObject({ type: z.literal("plain_text"), text: z.string().min(1).max(150) }),
        }),
        z.strictObject({
          type: z.literal("section"),
          text: z.strictObject({ type: z.literal("mrkdwn"), text: mrkdwn }),
        }),
        z.strictObject({
          type: z.literal("context"),
          elements: z
            .array(z.strictObject({ type: z.literal("mrkdwn"), text: mrkdwn }))
            .min(1)
            .max(10),
        }),
      ]),
    )
    .max(50),
});

/** Keyturn's own webhook, as docs/notifications.md has it. */
export const WebhookBody = z.strictObject({
  type: z.string().regex(/^dev\.keyturn\.notice\.[a-z]+\.v1$/),
  timestamp: z.iso.datetime(),
  data: z.strictObject({
    kind: z.string(),
    status: z.enum(["opened", "reminder", "resolved", "told"]),
    severity: z.enum(["critical", "error", "warning", "info"]),
    key: z.string(),
    secret: z.string().optional(),
    tenant: z.string().optional(),
    version: z.string().optional(),
    summary: z.string(),
    detail: z.string(),
    remedy: z.string().optional(),
    commands: z.array(z.string()),
    sender: z.strictObject({ installation: z.string(), host: z.string(), store: z.string() }),
  }),
});
