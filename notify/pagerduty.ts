import { createHash } from "node:crypto";
import type { Secret } from "../core/secret.ts";
import type { NotifyChannel } from "../manifest/manifest.ts";
import { cut, type Message, type MessageContext } from "./message.ts";

/** The limits of the Events API v2. */
const summaryMax = 1_024;
const dedupKeyMax = 255;
const detailMax = 8_000;

/**
 * An event for PagerDuty's Events API v2: a condition triggers an alert and resolves it by the same key; news are change events,
 * which page nobody.
 */
export function pagerDutyMessage(
  channel: Extract<NotifyChannel, { kind: "pagerduty" }>,
  routingKey: Secret,
  context: MessageContext,
): Message {
  const isNews = context.notice.status === "told";
  const body = isNews ? change(context) : alert(context);
  return {
    url: new URL(isNews ? changeAddress(channel.url) : channel.url),
    headers: { "content-type": "application/json", "user-agent": "Keyturn" },
    body: JSON.stringify({ routing_key: routingKey.reveal(), ...body }),
    secrets: [routingKey],
  };
}

/** The two addresses differ by one word; an address of another form gets both. */
function changeAddress(url: string): string {
  return url.replace(/\/v2\/enqueue$/, "/v2/change/enqueue");
}

function alert(context: MessageContext) {
  const { notice, sender } = context;
  const dedup = { dedup_key: dedupKey(`keyturn/${sender.installation}/${notice.key}`) };
  if (notice.status === "resolved") return { event_action: "resolve", ...dedup };
  const { severity, secret, tenant, kind } = notice;
  return {
    event_action: "trigger",
    ...dedup,
    client: "Keyturn",
    payload: {
      ...basics(context),
      severity,
      component: secret,
      group: tenant ?? sender.store,
      class: kind,
    },
  };
}

function change(context: MessageContext) {
  return { payload: basics(context) };
}

function basics({ notice, sender }: MessageContext) {
  const { summary, at, detail, remedy, commands, version, status } = notice;
  return {
    summary: cut(summary, summaryMax),
    source: sender.host,
    timestamp: new Date(at).toISOString(),
    custom_details: {
      detail: cut(detail, detailMax),
      remedy,
      commands,
      version,
      status,
      store: sender.store,
      installation: sender.installation,
    },
  };
}

/** A long one ends in a hash of its whole, so that no two become one. */
function dedupKey(key: string): string {
  if (key.length <= dedupKeyMax) return key;
  const hash = createHash("sha256").update(key).digest("hex");
  return `${key.slice(0, dedupKeyMax - hash.length - 1)}/${hash}`;
}
