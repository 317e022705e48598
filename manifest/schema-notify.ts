import * as z from "zod";
import { path, reference } from "./schema-words.ts";

export const pagerdutyUrl = "https://events.pagerduty.com/v2/enqueue";

const https = z
  .string()
  .regex(/^https:\/\/[^\s/?#@]+([/?#]\S*)?$/, "must be an https address, without a name or password in it")
  .refine((text) => URL.canParse(text), "is not an address");

const tls = z
  .strictObject({
    ca: path
      .optional()
      .describe("The authority that signed the receiver's certificate: a file, relative to this one."),
  })
  .optional()
  .describe("For receivers with a certificate of one's own authority. Certificates are always checked.");

/** A channel is of one kind; `check-notify.ts` says so where it is of none or of two. */
export const ChannelSchema = z
  .strictObject({
    webhook: z
      .strictObject({
        url: https.describe("Where the message is posted to."),
        signingSecret: reference.describe("The secret by which messages are signed (Standard Webhooks)."),
        tls,
      })
      .optional()
      .describe("A receiver of one's own."),
    slack: z
      .strictObject({ url: reference.describe("The incoming webhook's address, which is a secret."), tls })
      .optional()
      .describe("A Slack channel."),
    pagerduty: z
      .strictObject({
        routingKey: reference.describe("The integration's key."),
        url: https.optional().describe(`Where events are posted to. Default: ${pagerdutyUrl}`),
        tls,
      })
      .optional()
      .describe("A PagerDuty service, by its Events API v2."),
    on: z
      .array(z.enum(["failed", "revoked", "rotated", "adopted", "retired"]))
      .optional()
      .describe("What it is told besides halted rotations and unpaid debts. Default: failed and revoked."),
  })
  .meta({ oneOf: [{ required: ["webhook"] }, { required: ["slack"] }, { required: ["pagerduty"] }] });
export type ChannelContent = z.infer<typeof ChannelSchema>;

export const PersonSchema = z.strictObject({
  key: z
    .string()
    // Twelve bytes say that it is an Ed25519 key; the other thirty-two are the key.
    .regex(
      /^MCowBQYDK2VwAyEA[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/,
      "is not the public half of an Ed25519 key pair: SPKI in base64, 60 characters that begin with MCowBQYDK2VwAyEA",
    )
    .describe("The public half of the person's Ed25519 key pair: SPKI, DER, in base64."),
});
export type PersonContent = z.infer<typeof PersonSchema>;
