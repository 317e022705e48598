import { Webhook } from "standardwebhooks";
import { KeyturnError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import type { NotifyChannel } from "../manifest/manifest.ts";
import { cut, type Message, type MessageContext } from "./message.ts";

/** What Standard Webhooks asks of a symmetric key. */
const keyBytesMin = 24;
const keyBytesMax = 64;
const prefix = "whsec_";
/** A webhook should have less than 20 kB. */
const detailMax = 8_000;
const summaryMax = 1_000;

/**
 * A message by Standard Webhooks 1.0. It is signed by every key that is given: the current one, and the one before while the
 * receiver may still have that.
 */
export function webhookMessage(
  channel: Extract<NotifyChannel, { kind: "webhook" }>,
  keys: readonly Secret[],
  { notice, sender, now }: MessageContext,
): Message {
  const { kind, id: _id, at, summary, detail, ...rest } = notice;
  const body = JSON.stringify({
    type: `dev.keyturn.notice.${kind}.v1`,
    timestamp: new Date(at).toISOString(),
    data: { kind, ...rest, summary: cut(summary, summaryMax), detail: cut(detail, detailMax), sender },
  });
  const id = messageId(notice.id);
  const timestamp = new Date(now);
  const signatures = keys.map((key) => signer(key, channel).sign(id, timestamp, body));
  return {
    url: new URL(channel.url),
    headers: {
      "content-type": "application/json",
      "user-agent": "Keyturn",
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(now / 1_000)),
      "webhook-signature": signatures.join(" "),
    },
    body,
    // Some receivers keep a key without its mark.
    secrets: keys.flatMap((key) => [key, new Secret(key.reveal().slice(prefix.length))]),
  };
}

/** The notice's own id. A full stop in it could be taken for the one that ends it in what is signed. */
export function messageId(id: string): string {
  return id.replaceAll(
    /[^A-Za-z0-9/_:-]/gu,
    (character) => `%${Buffer.from(character).toString("hex").toUpperCase()}`,
  );
}

function signer(key: Secret, { name, signingSecret }: Extract<NotifyChannel, { kind: "webhook" }>): Webhook {
  const text = key.reveal();
  const encoded = text.startsWith(prefix) ? text.slice(prefix.length) : undefined;
  const isBase64 =
    encoded !== undefined && /^[A-Za-z0-9+/]+={0,2}$/.test(encoded) && encoded.length % 4 === 0;
  const bytes = isBase64 ? Buffer.from(encoded, "base64").length : 0;
  if (bytes < keyBytesMin || bytes > keyBytesMax) {
    throw new KeyturnError(
      "credential-invalid",
      `the signing secret ${signingSecret} of channel ${name} is not whsec_ and ${keyBytesMin} to ${keyBytesMax} bytes in base64`,
    );
  }
  return new Webhook(text);
}
