import { KeyturnError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import type { NotifyChannel } from "../manifest/manifest.ts";
import { cut, type Message, type MessageContext } from "./message.ts";
import type { Notice } from "./notice.ts";

/** Slack's limits, with some room: a header block, and the text of a section. */
const headerMax = 150;
const sectionMax = 2_900;

/** A message for a Slack incoming webhook: blocks for the eye, and their gist as text for notifications. */
export function slackMessage(
  { name, url: reference }: Extract<NotifyChannel, { kind: "slack" }>,
  address: Secret,
  { notice, sender }: MessageContext,
): Message {
  const url = URL.parse(address.reveal());
  if (url?.protocol !== "https:") {
    throw new KeyturnError(
      "credential-invalid",
      `the secret ${reference} of channel ${name} is not the https address of an incoming webhook`,
    );
  }
  const title = titleOf(notice);
  const body = JSON.stringify({
    text: escaped(title, sectionMax),
    blocks: [
      { type: "header", text: { type: "plain_text", text: cut(title, headerMax) } },
      ...paragraphs(notice).map((text) => ({ type: "section", text: { type: "mrkdwn", text } })),
      { type: "context", elements: [{ type: "mrkdwn", text: contextOf(notice, sender) }] },
    ],
  });
  return {
    url,
    headers: { "content-type": "application/json", "user-agent": "Keyturn" },
    body,
    // What comes after the host is what makes it secret.
    secrets: [address, new Secret(url.pathname), new Secret(url.pathname.split("/").at(-1) ?? "")],
  };
}

function titleOf({ severity, status, summary }: Notice): string {
  return status === "opened" || status === "reminder" ? `[${severity}] ${summary}` : summary;
}

function paragraphs({ detail, remedy, commands }: Notice): readonly string[] {
  const toType = commands.length === 0 ? [] : [`\`\`\`${escaped(commands.join("\n"), sectionMax)}\`\`\``];
  return [detail, remedy ?? ""]
    .filter((text) => text !== "")
    .map((text) => escaped(text, sectionMax))
    .concat(toType);
}

function contextOf({ secret, tenant, at }: Notice, { host, store }: MessageContext["sender"]): string {
  const parts = [
    secret === undefined ? undefined : `secret ${secret}`,
    tenant === undefined ? undefined : `tenant ${tenant}`,
    `store ${store} on ${host}`,
    new Date(at).toISOString(),
  ];
  return escaped(parts.filter((part) => part !== undefined).join(" · "), sectionMax);
}

/** Slack takes these three for markup, `<!channel>` for instance. Cut behind, so that no entity is cut in two. */
function escaped(text: string, lengthMax: number): string {
  const whole = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  return whole.length <= lengthMax ? whole : `${cut(whole, lengthMax).replace(/(&[a-z]*)?…$/, "")}…`;
}
